"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const cards = [...document.querySelectorAll(".card")];
  const search = by("search");
  const box = by("box");
  const image = by("box-image");
  const texts = new Map();
  let shown = cards;
  let current = null;

  const tile = (card) => card.querySelector(".tile");
  const text = (card) => {
    if (!texts.has(card)) {
      texts.set(card, card.textContent.toLowerCase());
    }
    return texts.get(card);
  };

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const card of cards) card.hidden = !words.every((word) => text(card).includes(word));
    shown = cards.filter((card) => !card.hidden);
    for (const month of document.querySelectorAll(".month"))
      month.hidden = !month.querySelector(".card:not([hidden])");
    document.querySelector(".none").hidden = !cards.length || shown.length > 0;
    by("found").textContent = words.length ? `${shown.length} of ${cards.length}` : "";
  };

  // The nearest tile above (-1) or below (1), by its position on the page.
  const vertical = (card, direction) => {
    const here = card.getBoundingClientRect();
    let best = null;
    let least = Infinity;
    const at = shown.indexOf(card);
    for (let i = at + direction; i >= 0 && i < shown.length; i += direction) {
      const there = shown[i].getBoundingClientRect();
      const rows = Math.abs(there.top - here.top);
      if (rows < 8) continue;
      const far = rows * 4 + Math.abs(there.left - here.left);
      if (far >= least && rows > 3 * here.height) break;
      if (far < least) [best, least] = [shown[i], far];
    }
    return best;
  };

  const focus = (card) => {
    if (!card) return;
    tile(card).focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  };

  const step = (direction) => show(shown[shown.indexOf(current) + direction]);

  const show = (card) => {
    if (!card) return;
    current = card;
    const thumbnail = card.querySelector(".tile img");
    const href = tile(card).getAttribute("href");
    image.hidden = !thumbnail;
    by("box-gap").hidden = Boolean(thumbnail);
    by("box-gap").textContent = thumbnail ? "" : card.querySelector(".gap").textContent;
    image.removeAttribute("src");
    if (thumbnail) {
      image.alt = thumbnail.alt;
      image.src = thumbnail.src;
      if (href.startsWith("file:")) full(card, href);
    }
    const at = shown.indexOf(card);
    by("box-place").textContent = at < 0 ? "" : `${at + 1} of ${shown.length}`;
    by("box-prompt").textContent = card.querySelector(".prompt").textContent;
    const more = card.querySelector(".more").cloneNode(true);
    by("box-more").replaceChildren(...more.childNodes);
    for (const link of by("box-more").querySelectorAll(".kin")) {
      const kin = document.querySelector(`${link.getAttribute("href")} .tile img`);
      if (!kin) continue;
      const small = new Image();
      small.src = kin.src;
      small.alt = "";
      link.prepend(small);
    }
    by("before").disabled = at <= 0;
    by("after").disabled = at < 0 || at === shown.length - 1;
    document.querySelector(".panel").scrollTop = 0;
    if (!box.open) box.showModal();
  };

  // The thumbnail is shown until the image has loaded, or for good if that fails.
  const full = (card, href) => {
    const whole = new Image();
    whole.onload = () => {
      if (current !== card || !box.open) return;
      image.src = href;
      const [name, value] = [document.createElement("dt"), document.createElement("dd")];
      name.textContent = "Size";
      value.textContent = `${whole.naturalWidth} × ${whole.naturalHeight}`;
      by("box-more").querySelector("dl").append(name, value);
    };
    whole.src = href;
  };

  const isPlain = (event) => !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);

  by("images").addEventListener("click", (event) => {
    const link = event.target.closest(".tile");
    if (!link || !isPlain(event)) return;
    event.preventDefault();
    show(link.closest(".card"));
  });
  box.addEventListener("click", (event) => {
    const kin = event.target.closest(".kin");
    if (kin) {
      event.preventDefault();
      show(document.querySelector(kin.getAttribute("href")));
      by("close").focus();
    } else if (event.target === box) box.close();
  });
  box.addEventListener("close", () => {
    if (current && current.hidden) {
      search.value = "";
      filter();
    }
    focus(current);
  });
  by("close").addEventListener("click", () => box.close());
  by("before").addEventListener("click", () => step(-1));
  by("after").addEventListener("click", () => step(1));
  by("clear").addEventListener("click", () => {
    search.value = "";
    filter();
    search.focus();
  });
  search.addEventListener("input", filter);

  document.addEventListener("keydown", (event) => {
    if (!isPlain(event) || event.isComposing) return;
    if (box.open) {
      if (event.key === "ArrowLeft") step(-1);
      else if (event.key === "ArrowRight") step(1);
      return;
    }
    const card = document.activeElement.closest(".card");
    if (document.activeElement === search) {
      if (event.key === "Escape" && search.value) {
        search.value = "";
        filter();
      } else if (event.key === "Escape" || event.key === "ArrowDown" || event.key === "Enter")
        focus(shown[0]);
      else return;
    } else if (event.key === "/") search.focus();
    else if (event.key === "Escape" && search.value) {
      search.value = "";
      filter();
      focus(card);
    } else if (event.key.startsWith("Arrow") && card) {
      const at = shown.indexOf(card);
      if (event.key === "ArrowLeft") focus(shown[at - 1]);
      else if (event.key === "ArrowRight") focus(shown[at + 1]);
      else focus(vertical(card, event.key === "ArrowUp" ? -1 : 1));
    } else if (event.key.startsWith("Arrow") && document.activeElement === document.body)
      focus(shown[0]);
    else return;
    event.preventDefault();
  });
})();
