import { Answer, ask, Citation, get, post, Store } from "./api";
import { h, money, show } from "./dom";

function place(citation: Citation): string {
  const parts = [citation.title || citation.filename, ...(citation.section ? [citation.section] : [])];
  return parts.join(" › ") + (citation.page ? `, page ${citation.page}` : "");
}

function card(citation: Citation, number: number): HTMLElement {
  const name = citation.filename + (citation.anchor ? `#${citation.anchor}` : "");
  return h(
    "li",
    { class: "card" },
    h("p", { class: "place" }, `${number}. ${place(citation)}`),
    citation.quote ? h("blockquote", {}, citation.quote) : null,
    citation.url ? h("a", { href: citation.url, target: "_blank", rel: "noopener" }, `Open ${name}`) : h("span", { class: "quiet" }, name),
  );
}

function citations(answer: Answer): HTMLElement {
  const seen = new Set<string>();
  const cards: HTMLElement[] = [];
  for (const item of answer.output)
    for (const part of item.content ?? [])
      for (const citation of part.annotations ?? []) {
        const key = `${citation.filename}#${citation.anchor ?? ""}`;
        if (seen.has(key)) continue;
        seen.add(key);
        cards.push(card(citation, seen.size));
      }
  return cards.length > 0 ? h("ol", { class: "cards" }, ...cards) : h("p", { class: "quiet" }, "No citation: nothing in the documents supports this.");
}

function figures(answer: Answer): HTMLElement {
  const parts = [`${answer.usage?.input_tokens ?? 0} tokens in, ${answer.usage?.output_tokens ?? 0} out`];
  const line = h("p", { class: "figures" });
  const s = answer.usage?.stoa;
  if (s) {
    parts.push(`first token ${s.time_to_first_token_ms.toFixed(0)} ms`, `${s.tokens_per_second.toFixed(1)} tokens/s`, `cost ${money(s.cost_micro_usd)}`);
  }
  line.append(parts.join(" · "));
  if (s) line.append(" · ", h("a", { href: `#trace/${s.trace_id}` }, "trace"));
  return line;
}

function thumbs(answer: Answer): HTMLElement {
  const said = h("span", { class: "quiet", role: "status" });
  const rate = (score: number) => async () => {
    try {
      await post("/v1/stoa/ratings", { answer_id: answer.id, score });
      show(said, score > 0 ? "Thank you: rated helpful." : "Thank you: rated not helpful.");
    } catch (error) {
      show(said, (error as Error).message);
    }
  };
  return h(
    "p",
    { class: "thumbs" },
    h("button", { type: "button", click: rate(1) }, "Helpful"),
    h("button", { type: "button", click: rate(-1) }, "Not helpful"),
    said,
  );
}

export async function askPage(main: HTMLElement): Promise<void> {
  const stores = (await get<{ data: Store[] }>("/v1/vector_stores?limit=100")).data;
  if (stores.length === 0) {
    show(main, h("h2", {}, "Ask"), h("p", {}, "There are no documents yet. Bring some in with ", h("code", {}, "stoa ingest FOLDER --store NAME"), "."));
    return;
  }
  const select = h("select", { id: "store" }, ...stores.map((store) => h("option", { value: store.id }, store.name || store.id)));
  const question = h("textarea", { id: "question", rows: "2", required: true, placeholder: "What do you want to know?" });
  const button = h("button", { type: "submit", class: "primary" }, "Ask");
  const result = h("section", { class: "answer", "aria-live": "polite" });
  const submit = async (event: Event) => {
    event.preventDefault();
    const text = question.value.trim();
    if (!text) return;
    button.disabled = true;
    const body = h("p", { class: "text" });
    show(result, h("p", { class: "question" }, text), body, h("p", { class: "quiet waiting" }, "Reading the documents…"));
    try {
      const answer = await ask(text, select.value, (delta) => {
        result.querySelector(".waiting")?.remove();
        body.append(delta);
      });
      const final = answer.output.flatMap((item) => item.content ?? []).map((part) => part.text).join("");
      show(body, final);
      show(result, h("p", { class: "question" }, text), body, citations(answer), figures(answer), thumbs(answer));
    } catch (error) {
      show(result, h("p", { class: "question" }, text), h("p", { class: "error", role: "alert" }, (error as Error).message));
    } finally {
      button.disabled = false;
    }
  };
  question.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      question.form?.requestSubmit();
    }
  });
  show(
    main,
    h(
      "form",
      { class: "ask", submit },
      h("label", { for: "question" }, "Question"),
      question,
      h("div", { class: "row" }, h("label", { for: "store" }, "Documents"), select, button),
    ),
    result,
  );
  question.focus();
}
