// Calls to the server that serves this page, with the key that the user signed in with. The key stays in this tab.

export interface Citation {
  type: string;
  filename: string;
  title?: string;
  section?: string;
  anchor?: string;
  page?: number;
  quote?: string;
  url?: string;
}
export interface Answer {
  id: string;
  output: { type: string; content?: { type: string; text: string; annotations: Citation[] }[] }[];
  usage: {
    input_tokens: number;
    output_tokens: number;
    stoa?: { trace_id: string; cost_micro_usd: number; time_to_first_token_ms: number; tokens_per_second: number };
  } | null;
  error?: { message: string } | null;
}
export interface Span {
  name: string;
  depth: number;
  offset_ms: number;
  duration_ms: number;
  error?: string;
}
export interface TraceRecord {
  trace_id: string;
  request_id: string;
  time: string;
  operation: string;
  model: string;
  status: string;
  duration_ms: number;
  cost_micro_usd: number;
  spans: Span[];
}
export interface ServerStatus {
  version: string;
  uptime_seconds: number;
  models: { id: string; kind: string; format: string; isa: string; context: number }[];
  engine: { slots: number; running: number; waiting: number } | null;
  documents: { documents: number; chunks: number; collections: number };
}
export interface Store {
  id: string;
  name: string;
}

const kKey = "stoa-key";

export const session = {
  get key(): string {
    return sessionStorage.getItem(kKey) ?? "";
  },
  set key(value: string) {
    if (value) sessionStorage.setItem(kKey, value);
    else sessionStorage.removeItem(kKey);
  },
};

export class ApiError extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

async function send(method: string, path: string, body?: unknown): Promise<Response> {
  const response = await fetch(path, {
    method,
    headers: { Authorization: `Bearer ${session.key}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    body: body === undefined ? null : JSON.stringify(body),
  });
  if (response.ok) return response;
  const reply: unknown = await response.json().catch(() => null);
  const message = (reply as { error?: { message?: string } } | null)?.error?.message;
  throw new ApiError(response.status, message ?? `The server answered with status ${response.status}.`);
}

export async function get<T>(path: string): Promise<T> {
  return (await (await send("GET", path)).json()) as T;
}
export async function post<T>(path: string, body: unknown): Promise<T> {
  return (await (await send("POST", path, body)).json()) as T;
}

// The events of a server-sent stream, one JSON object each.
async function* events(response: Response): AsyncGenerator<{ type: string; delta?: string; response?: Answer }> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    for (let end = buffer.indexOf("\n\n"); end >= 0; end = buffer.indexOf("\n\n")) {
      const data = buffer
        .slice(0, end)
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trimStart())
        .join("\n");
      buffer = buffer.slice(end + 2);
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

// Asks over one store; calls back with each piece of text and returns the whole answer.
export async function ask(question: string, store: string, onDelta: (text: string) => void): Promise<Answer> {
  const tools = [{ type: "file_search", vector_store_ids: [store] }];
  const response = await send("POST", "/v1/responses", { input: question, tools, stream: true });
  for await (const event of events(response)) {
    if (event.type === "response.output_text.delta" && event.delta) onDelta(event.delta);
    if (event.type === "response.failed") throw new ApiError(500, event.response?.error?.message ?? "The answer failed.");
    if ((event.type === "response.completed" || event.type === "response.incomplete") && event.response) return event.response;
  }
  throw new ApiError(500, "The connection ended before the answer was complete.");
}
