//! A bank of local linear trends: level, slope and autocorrelated noise, each with its own idea of
//! how fast they change. What the past says of each idea is its likelihood; the forecast is their
//! mixture, so that its interval is as wide as the ideas differ.
//!
//! After Harvey (1989), "Forecasting, Structural Time Series Models and the Kalman Filter"
//! (chapters 2.3 and 3.4; the scale is concentrated out of the likelihood), Gardner and McKenzie
//! (1985), "Forecasting trends in time series" (damped slopes), and Hoeting et al. (1999),
//! "Bayesian Model Averaging: A Tutorial".

/// How a level, its slope and its noise are taken to move. Variances are shares of the noise's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Idea {
    /// Variance of the level's own steps.
    level: f64,
    /// Variance of the slope's steps.
    slope: f64,
    /// What is left of the slope after a step; below 1 the level settles.
    damping: f64,
    /// Autocorrelation of the noise from step to step.
    memory: f64,
    /// When the trend was allowed to begin anew, in steps before the end; 0: never.
    began: usize,
}

/// Autocorrelations of noise.
const MEMORIES: [f64; 3] = [0.0, 0.7, 0.93];
/// Variances of the level's steps: none, slow, and a random walk.
const LEVELS: [f64; 4] = [0.0, 0.02, 0.3, 5.0];
/// Variance of the slope's steps, and damping.
const SLOPES: [(f64, f64); 5] = [(0.0, 1.0), (1e-5, 1.0), (0.0, 0.994), (0.0, 0.98), (1e-3, 0.97)];
/// Steps before the end at which a trend may have begun anew.
const BEGINS: [usize; 5] = [12, 24, 48, 96, 192];
/// What a new beginning costs in log likelihood: most hours begin nothing.
const BEGIN_COST: f64 = 4.0;
/// Variances of a level and a slope that begin anew.
const FRESH: (f64, f64) = (9.0, 0.25);
/// Share of the noise that has memory, where any has.
const REMEMBERED: f64 = 0.8;
/// The likelihood of hundreds of hours is too sure of itself where no idea is quite right: it is
/// raised to this power (Grünwald and van Ommen 2017, "Inconsistency of Bayesian inference for
/// misspecified linear models, and a proposal for repairing it").
const TEMPER: f64 = 0.7;
/// Steps that only set the level and the slope.
const SETTLING: usize = 4;
/// Steps ahead by which past forecasts are held against what came.
pub(super) const CHECKED_AHEAD: usize = 24;

/// Level, slope and noise with their covariance.
#[derive(Clone, Copy, Debug, PartialEq)]
struct State {
    mean: [f64; 3],
    cov: [[f64; 3]; 3],
}

/// What an idea says at the end of the past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Opinion {
    idea: Idea,
    state: State,
    /// Variance of the noise.
    pub(super) variance: f64,
    /// How much the past speaks for it, as a share of all ideas.
    pub(super) weight: f64,
    /// Share of the mixture.
    pub(super) share: f64,
}

/// Sums of a likelihood.
#[derive(Clone, Copy, Debug, Default)]
struct Fit {
    squares: f64,
    logs: f64,
    n: f64,
}

impl Fit {
    fn log_likelihood(&self, floor: f64) -> f64 {
        let variance = (self.squares / self.n.max(1.0)).max(floor);
        -0.5 * (self.n * variance.ln() + self.logs)
    }
}

impl State {
    fn start(value: f64) -> Self {
        Self {
            mean: [value, 0.0, 0.0],
            cov: [[1e4, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, REMEMBERED]],
        }
    }

    /// One step on: x ← A x, P ← A P Aᵀ + Q.
    fn step(&mut self, idea: &Idea) {
        let (damping, memory) = (idea.damping, idea.memory);
        let [level, slope, noise] = self.mean;
        self.mean = [level + slope, damping * slope, memory * noise];
        let p = self.cov;
        let ls = damping * (p[0][1] + p[1][1]);
        let ln = memory * (p[0][2] + p[1][2]);
        let sn = damping * memory * p[1][2];
        let fresh = if memory > 0.0 { REMEMBERED * (1.0 - memory * memory) } else { 0.0 };
        self.cov = [
            [p[0][0] + 2.0 * p[0][1] + p[1][1] + idea.level, ls, ln],
            [ls, damping * damping * p[1][1] + idea.slope, sn],
            [ln, sn, memory * memory * p[2][2] + fresh],
        ];
    }

    /// Takes in a value; gives the innovation and its variance.
    fn take(&mut self, idea: &Idea, value: f64) -> (f64, f64) {
        let white = if idea.memory > 0.0 { 1.0 - REMEMBERED } else { 1.0 };
        let p = self.cov;
        let g: [f64; 3] = std::array::from_fn(|i| p[i][0] + p[i][2]);
        let variance = g[0] + g[2] + white;
        let innovation = value - self.mean[0] - self.mean[2];
        for i in 0..3 {
            self.mean[i] += g[i] / variance * innovation;
            for j in 0..3 {
                self.cov[i][j] -= g[i] * g[j] / variance;
            }
        }
        (innovation, variance)
    }

    fn begin_anew(&mut self) {
        self.cov[0][0] += FRESH.0;
        self.cov[1][1] += FRESH.1;
    }
}

fn run(state: &mut State, fit: &mut Fit, idea: &Idea, values: &[f64], settled: bool) {
    for (n, value) in values.iter().enumerate() {
        state.step(idea);
        if value.is_finite() {
            let (innovation, variance) = state.take(idea, *value);
            if settled || n >= SETTLING {
                fit.squares += innovation * innovation / variance;
                fit.logs += variance.ln();
                fit.n += 1.0;
            }
        }
    }
}

/// The mixture of all ideas after these values (NaN where there was none), the likeliest first.
/// `floor` is the least variance of the noise. `any` of the mixture (0 to 1) is shared evenly by all
/// ideas, since the one that is right from now on may be none that was (Herbster and Warmuth 1998,
/// "Tracking the best expert"); with 0 the unlikely ones are left out. `began` is how many steps ago a
/// trend is known to have begun, if it is. Empty with fewer than eight values.
pub(super) fn opinions(values: &[f64], floor: f64, any: f64, began: Option<usize>) -> Vec<Opinion> {
    let Some(first) = values.iter().copied().find(|v| v.is_finite()) else { return Vec::new() };
    if values.iter().filter(|v| v.is_finite()).count() < 8 {
        return Vec::new();
    }
    // Oldest first, each with what it costs.
    let mut moments: Vec<(usize, f64)> = BEGINS.iter().rev().map(|b| (*b, BEGIN_COST)).collect();
    moments.retain(|(b, _)| 2 * b <= values.len());
    if let Some(known) = began.filter(|b| (1..values.len()).contains(b)) {
        moments.retain(|(b, _)| *b != known);
        moments.push((known, 0.0));
        moments.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
    }
    let mut all: Vec<(Idea, State, Fit, f64)> = Vec::new();
    for memory in MEMORIES {
        for level in LEVELS {
            for (slope, damping) in SLOPES {
                let idea = Idea { level, slope, damping, memory, began: 0 };
                let (mut state, mut fit) = (State::start(first), Fit::default());
                // A trend that never changes may have begun anew at a few times.
                let begins = slope == 0.0 && damping == 1.0 && level < 1.0;
                let mut done = 0;
                for (ago, cost) in moments.iter().copied().filter(|_| begins) {
                    run(&mut state, &mut fit, &idea, &values[done..values.len() - ago], done > 0);
                    done = values.len() - ago;
                    let (mut anew, mut its) = (state, fit);
                    anew.begin_anew();
                    run(&mut anew, &mut its, &idea, &values[done..], true);
                    all.push((Idea { began: ago, ..idea }, anew, its, cost));
                }
                run(&mut state, &mut fit, &idea, &values[done..], done > 0);
                all.push((idea, state, fit, 0.0));
            }
        }
    }
    let best = |a: f64, (_, _, fit, cost): &(Idea, State, Fit, f64)| {
        a.max(fit.log_likelihood(floor) - cost)
    };
    let top = all.iter().fold(f64::NEG_INFINITY, best);
    let mut opinions: Vec<Opinion> = all
        .into_iter()
        .map(|(idea, state, fit, cost)| Opinion {
            idea,
            state,
            variance: (fit.squares / fit.n.max(1.0)).max(floor),
            weight: (TEMPER * (fit.log_likelihood(floor) - cost - top)).exp(),
            share: 0.0,
        })
        .filter(|o| o.weight > 1e-3 || any > 0.0)
        .collect();
    let sum: f64 = opinions.iter().map(|o| o.weight).sum();
    let even = any / opinions.len() as f64;
    for opinion in &mut opinions {
        opinion.weight /= sum;
        opinion.share = (1.0 - any) * opinion.weight + even;
    }
    opinions.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    opinions
}

/// How far past forecasts of an idea, [`CHECKED_AHEAD`] steps ahead, were off: the ratio of what
/// 90 % of them needed to what they claimed. `None` with too little past.
pub(super) fn past_error(opinion: &Opinion, values: &[f64]) -> Option<f64> {
    let first = values.iter().copied().find(|v| v.is_finite())?;
    let idea = Idea { began: 0, ..opinion.idea };
    let mut state = State::start(first);
    let (mut errors, warm) = (Vec::new(), values.len() / 4);
    for (n, value) in values.iter().enumerate() {
        state.step(&idea);
        if value.is_finite() {
            state.take(&idea, *value);
        }
        let Some(later) = values.get(n + CHECKED_AHEAD).filter(|v| v.is_finite()) else { continue };
        // Every sixth is enough: neighbours say the same.
        if n < warm || n % 6 != 0 {
            continue;
        }
        let mut ahead = state;
        for _ in 0..CHECKED_AHEAD {
            ahead.step(&idea);
        }
        let p = ahead.cov;
        let variance = (p[0][0] + 2.0 * p[0][2] + p[2][2] + 0.5) * opinion.variance;
        errors.push(((later - ahead.mean[0] - ahead.mean[2]) / variance.sqrt()).abs());
    }
    if errors.len() < 12 {
        return None;
    }
    errors.sort_unstable_by(f64::total_cmp);
    let at = (errors.len() as f64 * 0.9) as usize;
    Some(errors[at.min(errors.len() - 1)] / 1.645)
}

/// A walker that draws one future after another.
pub(super) struct Walker {
    idea: Idea,
    x: [f64; 3],
    sigma: f64,
}

impl Opinion {
    /// The slope now, per step.
    pub(super) fn slope(&self) -> f64 {
        self.state.mean[1]
    }

    /// Standard deviation of the slope now.
    pub(super) fn slope_sigma(&self) -> f64 {
        (self.state.cov[1][1].max(0.0) * self.variance).sqrt()
    }

    /// In how many steps it began, if it began anew.
    pub(super) fn began(&self) -> usize {
        self.idea.began
    }

    /// One future, by draws of a standard normal variable; `spread` widens it.
    pub(super) fn walker(&self, spread: f64, mut normal: impl FnMut() -> f64) -> Walker {
        let sigma = self.variance.sqrt() * spread;
        let p = self.state.cov;
        // Cholesky of the covariance; what rounding made negative is zero.
        let l00 = p[0][0].max(0.0).sqrt();
        let l10 = if l00 > 0.0 { p[1][0] / l00 } else { 0.0 };
        let l20 = if l00 > 0.0 { p[2][0] / l00 } else { 0.0 };
        let l11 = (p[1][1] - l10 * l10).max(0.0).sqrt();
        let l21 = if l11 > 0.0 { (p[2][1] - l20 * l10) / l11 } else { 0.0 };
        let l22 = (p[2][2] - l20 * l20 - l21 * l21).max(0.0).sqrt();
        let draw = [normal(), normal(), normal()];
        let mean = self.state.mean;
        let x = [
            mean[0] + sigma * l00 * draw[0],
            mean[1] + sigma * (l10 * draw[0] + l11 * draw[1]),
            mean[2] + sigma * (l20 * draw[0] + l21 * draw[1] + l22 * draw[2]),
        ];
        Walker { idea: self.idea, x, sigma }
    }
}

impl Walker {
    /// One step on; gives what would be measured.
    pub(super) fn step(&mut self, mut normal: impl FnMut() -> f64) -> f64 {
        let idea = &self.idea;
        let [l, s, a] = self.x;
        self.x[0] = l + s;
        if idea.level > 0.0 {
            self.x[0] += self.sigma * idea.level.sqrt() * normal();
        }
        self.x[1] = idea.damping * s;
        if idea.slope > 0.0 {
            self.x[1] += self.sigma * idea.slope.sqrt() * normal();
        }
        let mut white = 1.0;
        if idea.memory > 0.0 {
            let own = REMEMBERED * (1.0 - idea.memory * idea.memory);
            self.x[2] = idea.memory * a + self.sigma * own.sqrt() * normal();
            white = 1.0 - REMEMBERED;
        }
        self.x[0] + self.x[2] + self.sigma * f64::sqrt(white) * normal()
    }

    /// A refill, or another change: the level falls by so much.
    pub(super) fn fall(&mut self, by: f64) {
        self.x[0] -= by;
    }
}
