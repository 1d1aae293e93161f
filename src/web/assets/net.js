// Requests to the API.

function refusal(value, status) {
  const { code, message, what_to_do } = value.error || {};
  if (!message) return `The server answered ${status}.`;
  // What is wrong in a form is said by the message; the form stands before the reader.
  if (["invalid", "bad_request", "conflict"].includes(code)) return message.replace(/ at line \d+ column \d+/, "");
  return what_to_do && !message.includes(what_to_do) ? `${message} ${what_to_do}` : message;
}

/** An answer that is no success, with what machines and forms need of it. */
function failed(value, status) {
  const error = new Error(refusal(value, status));
  return Object.assign(error, { status, fields: value.error?.fields });
}

const HEADERS = { "X-Nightjar": "1" };
const JSON_HEADERS = { ...HEADERS, "Content-Type": "application/json" };

/** Reads, or with a body changes something; what was refused is thrown with its sentence. */
export async function api(path, body, method) {
  const options = body === undefined ? { method: method || "GET", headers: HEADERS }
    : { method: method || "POST", headers: JSON_HEADERS, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch("/api/v1" + path, options);
  } catch {
    throw Object.assign(new Error("nightjar can't be reached; it may be restarting."), { away: true });
  }
  const text = await response.text();
  let value = {};
  try { value = text ? JSON.parse(text) : {}; } catch { value = {}; }
  if (!response.ok) throw failed(value, response.status);
  return value;
}

/** One server-sent event: its name and its JSON; null for a comment. */
function parsed(text) {
  const lines = text.split("\n");
  const of = (name) => lines.filter((l) => l.startsWith(`${name}:`)).map((l) => l.slice(name.length + 1).trimStart());
  const data = of("data").join("\n");
  return data ? { name: of("event")[0] || "message", value: JSON.parse(data) } : null;
}

/** Asks; `heard` is told of progress while the answer is made. Gives the answer. */
export async function ask(question, incident, heard) {
  const body = JSON.stringify(incident ? { question, incident } : { question });
  const response = await fetch("/api/v1/ask", { method: "POST", headers: { ...JSON_HEADERS, Accept: "text/event-stream" }, body });
  if (!response.ok) throw failed(await response.json().catch(() => ({})), response.status);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let answer = null;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    rest += value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events.map(parsed).filter(Boolean)) {
      if (event.name === "progress") heard(event.value);
      if (event.name === "answer") answer = event.value;
      if (event.name === "failure") throw new Error(refusal(event.value, 500));
    }
  }
  if (!answer) throw new Error("The answer ended early; ask again.");
  return answer;
}
