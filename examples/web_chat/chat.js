// The page: shows what comes, as text nodes and pictures, never as HTML.

import { MOST_IMAGES, ask, isPicture, load, readPicture, save } from "./store.js";

const by = (id) => document.getElementById(id);
const [log, text, file, scroll] = [by("log"), by("text"), by("file"), by("scroll")];
let messages = [];
let attached = [];
let running = null;
let ready = false; // the models are known

/** An element with a class, properties and children; text becomes a text node. */
function make(name, className, properties = {}, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("aria-")) element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

const isAtEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 120;
const toEnd = () => scroll.scrollTo({ top: scroll.scrollHeight });
const notice = (words) => (by("notice").textContent = words);
const keep = (reply) => save({ messages: reply ? [...messages, reply] : messages, attached });

function showAttached() {
  by("attached").replaceChildren(
    ...attached.map((url, at) => {
      const label = `Leave out picture ${at + 1}`;
      const leave = make("button", "leave", { type: "button", "aria-label": label }, "×");
      leave.onclick = () => {
        attached.splice(at, 1);
        showAttached();
        keep();
        text.focus();
      };
      return make("li", "", {}, make("img", "", { src: url, alt: `Picture ${at + 1}` }), leave);
    }),
  );
  text.placeholder = attached.length ? "What should change?" : "Describe a picture";
}

function attach(url) {
  notice("");
  if (attached.includes(url)) return text.focus();
  if (attached.length >= MOST_IMAGES) return notice(`${MOST_IMAGES} pictures are the most.`);
  attached.push(url);
  showAttached();
  keep();
  text.focus();
}

async function attachFiles(files) {
  for (const one of files) {
    try {
      attach(await readPicture(one));
    } catch (error) {
      notice(error.message);
    }
  }
}

function picture(url, alt, size = {}) {
  const image = make("img", "", { src: url, alt, ...size });
  const edit = make("button", "edit", { type: "button", title: "Edit this picture", "aria-label": `Edit: ${alt}` }, image);
  edit.onclick = () => attach(url);
  const suffix = url.slice(11, url.indexOf(";")).replace("jpeg", "jpg");
  const save = make("a", "save", { href: url, download: `picture.${suffix}` }, "Save");
  return make("figure", "", {}, edit, make("figcaption", "", {}, make("span", "", {}, "Click to edit"), save));
}

function showQuestion({ text: words, images }) {
  const turn = make("article", "mine", { "aria-label": "You" });
  if (images.length) turn.append(make("div", "pictures", {}, ...images.map((url) => picture(url, "Your picture"))));
  if (words) turn.append(make("p", "words", { dir: "auto" }, words));
  log.append(turn);
}

/** Shows one reply while it comes. */
class Reply {
  constructor(prompt) {
    this.prompt = prompt;
    this.words = document.createTextNode("");
    this.paragraph = make("p", "words", { dir: "auto", hidden: true }, this.words);
    this.pictures = make("div", "pictures");
    this.waiting = make("p", "waiting", { "aria-label": "Working" }, make("i"), make("i"), make("i"));
    this.turn = make("article", "theirs", { "aria-label": "Reply" }, this.paragraph, this.pictures, this.waiting);
    this.message = { role: "assistant", text: "", images: [] };
    log.append(this.turn);
  }

  take(event) {
    const follow = isAtEnd();
    if (event.type === "text") this.addText(event.text);
    else if (event.type === "reasoning") this.addThought(event.text);
    else if (event.type === "image") this.addPicture(event);
    else if (event.type === "address") this.addAddress(event.url);
    else if (event.type === "notice") this.complain(event.message);
    else if (event.type === "error") throw new Error(event.message);
    else if (event.type === "finished") this.addFacts(event);
    if (follow) toEnd();
  }

  addText(piece) {
    this.message.text += piece;
    this.words.appendData(piece);
    this.paragraph.hidden = false;
  }

  addThought(piece) {
    if (!this.thoughts) {
      this.thoughts = document.createTextNode("");
      const whole = make("p", "", {}, this.thoughts);
      this.turn.prepend(make("details", "thoughts", {}, make("summary", "", {}, "Thoughts"), whole));
    }
    this.thoughts.appendData(piece);
  }

  addPicture({ url, width, height }) {
    if (!isPicture(url)) return this.complain("A picture came that can't be shown.");
    this.message.images.push(url);
    const size = width ? { width, height } : {};
    this.pictures.append(picture(url, `Picture of: ${this.prompt || "your message"}`, size));
  }

  addAddress(url) {
    if (!/^https?:/i.test(url)) return;
    this.turn.append(make("p", "", {}, make("a", "", { href: url, rel: "noreferrer noopener", target: "_blank" }, url)));
  }

  addFacts({ model, tokens, cost }) {
    const facts = [model, tokens && `${tokens.toLocaleString("en")} tokens`, cost && `$${cost.toPrecision(2)}`];
    this.note(facts.filter(Boolean).join(" · "));
  }

  note(facts) {
    this.message.facts = facts;
    this.turn.append(make("p", "facts", {}, facts));
  }

  /** Show a reply that was kept. */
  restore({ text: words, images, facts }) {
    if (words) this.addText(words);
    images.forEach((url) => this.addPicture({ url }));
    if (facts) this.note(facts);
    this.end();
  }

  complain(words, again) {
    const box = make("p", "complaint", { role: "alert" }, words);
    if (again) box.append(make("button", "quiet", { type: "button", onclick: again }, "Try again"));
    this.turn.append(box);
  }

  /** What stays in the history: also the part that came before a failure. */
  end() {
    this.waiting.remove();
    if (this.message.text || this.message.images.length) messages.push(this.message);
    keep();
  }
}

async function answer() {
  const reply = new Reply(messages.at(-1).text);
  const mine = new AbortController();
  running = mine;
  busy(true);
  toEnd();
  try {
    let whole = false;
    for await (const event of ask(by("model").value, messages, mine.signal)) {
      if (running !== mine) return;
      reply.take(event);
      if (event.type === "image") keep(reply.message);
      whole ||= event.type === "finished";
    }
    if (!whole) throw new Error("The reply broke off.");
  } catch (error) {
    if (running !== mine) return;
    if (mine.signal.aborted) reply.note("Stopped");
    else {
      const words = error instanceof TypeError ? "The server can't be reached. Is it still running?" : error.message;
      reply.complain(words, () => again(reply));
    }
  } finally {
    if (running === mine) {
      reply.end();
      running = null;
      busy(false);
      if (isAtEnd()) toEnd();
      text.focus();
    }
  }
}

function again(reply) {
  if (running) return;
  messages = messages.filter((message) => message !== reply.message);
  reply.turn.remove();
  answer();
}

function busy(is) {
  by("send").hidden = is;
  by("stop").hidden = !is;
  log.setAttribute("aria-busy", String(is));
}

function send(words) {
  if (running || (!words && !attached.length)) return;
  if (!ready) return notice("The models are not known yet. Send again in a moment.");
  notice("");
  const message = { role: "user", text: words, images: attached };
  messages.push(message);
  attached = [];
  showAttached();
  keep();
  by("hello").hidden = true;
  showQuestion(message);
  text.value = "";
  fit();
  answer();
}

function fresh() {
  running?.abort();
  running = null;
  [messages, attached] = [[], []];
  showAttached();
  log.replaceChildren();
  by("hello").hidden = false;
  notice("");
  busy(false);
  keep();
  text.focus();
}

function fit() {
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight, 200)}px`;
}

by("form").addEventListener("submit", (event) => {
  event.preventDefault();
  send(text.value.trim());
});
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send(text.value.trim());
  } else if (event.key === "Backspace" && !text.value && attached.length) {
    attached.pop();
    showAttached();
  }
});
text.addEventListener("input", fit);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
});
by("stop").addEventListener("click", () => running?.abort());
by("fresh").addEventListener("click", fresh);
by("ideas").addEventListener("click", (event) => {
  const idea = event.target.closest("button");
  if (idea) send(idea.textContent);
});
by("attach").addEventListener("click", () => file.click());
file.addEventListener("change", async () => {
  await attachFiles([...file.files]);
  file.value = "";
});
document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  if (!files.length) return;
  event.preventDefault();
  attachFiles(files);
});

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  by("drop").hidden = false;
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) by("drop").hidden = true;
});
document.addEventListener("drop", (event) => {
  by("drop").hidden = true;
  if (!hasFiles(event)) return;
  event.preventDefault();
  attachFiles([...event.dataTransfer.files]);
});

async function about() {
  try {
    const { gateway, mock, models } = await (await fetch("api/about")).json();
    const more = make("span", "more", {}, ": images are drawn on this machine. Set EMBY_API_KEY to use Emby.");
    by("gateway").replaceChildren(...(mock ? ["Mock backend", more] : [gateway]));
    by("gateway").classList.toggle("mock", mock);
    by("model").replaceChildren(...models.map((name) => make("option", "", { value: name }, name)));
    ready = true;
    by("send").disabled = false;
  } catch {
    notice("The server can't be reached. Start it, then reload this page.");
  }
}

/** Show the conversation that was kept before the page was loaded again. */
async function restore() {
  const kept = await load();
  if (!kept || messages.length || attached.length) return;
  attached = kept.attached;
  showAttached();
  for (const message of kept.messages) {
    if (message.role === "assistant") new Reply(messages.at(-1)?.text).restore(message);
    else {
      messages.push(message);
      showQuestion(message);
    }
  }
  by("hello").hidden = messages.length > 0;
  if (messages.at(-1)?.role === "user") {
    const reply = new Reply(messages.at(-1).text);
    reply.complain("The page was closed before the reply came.", () => again(reply));
    reply.end();
  }
  toEnd();
}

restore();
about();
text.focus();
