// The console: ask, requests, one request, status. Routes are in the fragment, so that the page needs nothing from the server but data.
import { ApiError, get, session } from "./api";
import { askPage } from "./ask";
import { h, show } from "./dom";
import { statusPage, tracePage, tracesPage } from "./observe";

const main = document.querySelector("main")!;
const nav = document.querySelector("nav")!;

const pages: Record<string, (main: HTMLElement, rest: string) => Promise<void>> = { ask: askPage, requests: tracesPage, trace: tracePage, status: statusPage };

function signIn(message = ""): void {
  nav.hidden = true;
  const key = h("input", { id: "key", type: "password", autocomplete: "off", required: true, placeholder: "sk-stoa-…" });
  const submit = async (event: Event) => {
    event.preventDefault();
    session.key = key.value.trim();
    try {
      await get("/v1/models");
      await route();
    } catch (error) {
      session.key = "";
      signIn((error as Error).message);
    }
  };
  show(
    main,
    h(
      "form",
      { class: "sign-in", submit },
      h("h2", {}, "Sign in"),
      h("label", { for: "key" }, "API key"),
      key,
      h("button", { type: "submit", class: "primary" }, "Sign in"),
      message ? h("p", { class: "error", role: "alert" }, message) : null,
      h("p", { class: "quiet" }, "A key is made with ", h("code", {}, "stoa keys create --user NAME"), ". It is kept in this tab only."),
    ),
  );
  key.focus();
}

async function route(): Promise<void> {
  if (!session.key) return signIn();
  nav.hidden = false;
  const [name = "ask", rest = ""] = location.hash.slice(1).split("/", 2);
  const page = pages[name] ? name : "ask";
  for (const link of nav.querySelectorAll("a")) link.toggleAttribute("aria-current", link.hash === `#${page}`);
  try {
    await pages[page]!(main, rest);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      session.key = "";
      return signIn(error.message);
    }
    show(main, h("p", { class: "error", role: "alert" }, (error as Error).message));
  }
}

nav.querySelector("button")!.addEventListener("click", () => {
  session.key = "";
  signIn();
});
addEventListener("hashchange", () => void route());
void route();
