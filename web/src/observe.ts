import { get, ServerStatus, TraceRecord } from "./api";
import { h, money, show } from "./dom";

function table(head: string[], rows: (string | Node)[][]): HTMLElement {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...head.map((cell) => h("th", { scope: "col" }, cell)))),
      h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, cell))))),
    ),
  );
}

export async function statusPage(main: HTMLElement): Promise<void> {
  const status = await get<ServerStatus>("/v1/stoa/status");
  const engine = status.engine;
  show(
    main,
    h("h2", {}, "Status"),
    h("p", {}, `Stoa ${status.version}, up ${Math.round(status.uptime_seconds)} s. `, engine ? `${engine.running} of ${engine.slots} slots busy, ${engine.waiting} waiting. ` : "", `${status.documents.documents} documents in ${status.documents.chunks} chunks.`),
    table(["Model", "Kind", "Format", "Instructions", "Context"], status.models.map((model) => [model.id, model.kind, model.format, model.isa, String(model.context)])),
  );
}

export async function tracesPage(main: HTMLElement): Promise<void> {
  const traces = (await get<{ data: TraceRecord[] }>("/v1/stoa/traces?limit=50&work=true")).data;
  show(
    main,
    h("h2", {}, "Requests"),
    h("p", { class: "quiet" }, "The latest that used a model or failed."),
    table(
      ["Time", "Operation", "Model", "ms", "Cost", "Status"],
      traces.map((trace) => [
        h("a", { href: `#trace/${trace.trace_id}` }, trace.time.slice(0, 19).replace("T", " ")),
        trace.operation,
        trace.model,
        trace.duration_ms.toFixed(1),
        money(trace.cost_micro_usd),
        trace.status,
      ]),
    ),
  );
}

export async function tracePage(main: HTMLElement, id: string): Promise<void> {
  const trace = await get<TraceRecord>(`/v1/stoa/traces/${encodeURIComponent(id)}`);
  const whole = Math.max(...trace.spans.map((span) => span.offset_ms + span.duration_ms), 0.001);
  const rows = trace.spans.map((span) => {
    const bar = h("span", { class: span.error ? "bar bad" : "bar", title: span.error ?? "" });
    bar.style.marginInlineStart = `${(100 * span.offset_ms) / whole}%`;
    bar.style.inlineSize = `max(2px, ${(100 * span.duration_ms) / whole}%)`;
    const name = h("span", {}, span.name);
    name.style.paddingInlineStart = `${span.depth}em`;
    return h("li", {}, name, h("span", { class: "quiet" }, `${span.duration_ms.toFixed(1)} ms`), h("span", { class: "track" }, bar));
  });
  show(
    main,
    h("h2", {}, "One request, stage by stage"),
    h("p", {}, `${trace.operation} · ${trace.model} · ${trace.status} · ${trace.duration_ms.toFixed(1)} ms · ${money(trace.cost_micro_usd)}`),
    h("p", { class: "quiet" }, `trace ${trace.trace_id}, request ${trace.request_id}, ${trace.time}`),
    h("ol", { class: "waterfall" }, ...rows),
  );
}
