//! From SVG to PNG. The font is part of the program: no system library, the same picture
//! everywhere.

use std::sync::{Arc, OnceLock};

use resvg::{tiny_skia, usvg};

use crate::model::Fault;

/// `DejaVu` Sans 2.37, unchanged; its licence stands beside it.
const FONT: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");

/// The picture of an SVG that [`super::svg`] drew, `scale` times its nominal size (1 to 4).
///
/// # Errors
/// The text is no SVG, which would be a mistake in [`super::svg`].
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>, Fault> {
    static FONTS: OnceLock<Arc<usvg::fontdb::Database>> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| {
        let mut fonts = usvg::fontdb::Database::new();
        fonts.load_font_data(FONT.to_vec());
        Arc::new(fonts)
    });
    let options = usvg::Options {
        fontdb: fonts.clone(),
        font_family: "DejaVu Sans".into(),
        ..usvg::Options::default()
    };
    let fail = |e| Fault::permanent("a chart can't be drawn", e);
    let tree = usvg::Tree::from_str(svg, &options).map_err(|e| fail(anyhow::Error::new(e)))?;
    let scale = scale.clamp(1.0, 4.0);
    let size = tree.size();
    let (width, height) =
        ((size.width() * scale).ceil() as u32, (size.height() * scale).ceil() as u32);
    let mut picture = tiny_skia::Pixmap::new(width, height)
        .ok_or_else(|| fail(anyhow::anyhow!("its size is {width} × {height}")))?;
    let transform = tiny_skia::Transform::from_scale(scale, scale);
    resvg::render(&tree, transform, &mut picture.as_mut());
    picture.encode_png().map_err(|e| fail(anyhow::Error::new(e)))
}
