"use strict";
(async () => {
  const BATCH = 120;
  const by = (id) => document.getElementById(id);
  const [search, box, image, list] = ["search", "box", "box-image", "images"].map(by);
  let pictures = [];
  let shown = []; // those that match the search; the first `drawn` of them are on the page
  let drawn = 0;
  let current = null;

  const read = async (id) => {
    const packed = atob(by(id).textContent);
    const bytes = new Uint8Array(packed.length);
    for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const lines = (await new Response(unpacked).text()).trimEnd();
    // At once, which takes half the time of line by line.
    return JSON.parse(`[${lines.replaceAll("\n", ",")}]`).map((record) => {
      const [number, source, href, problem, prompt, model, month, created, day, rows, from, into] =
        record;
      return { number, source, href, problem, prompt, model, month, created, day, rows, from, into };
    });
  };

  const element = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  const link = (text, href) => (href ? element("a", { href, rel: "noreferrer noopener" }, text) : text);

  const find = (href) => pictures[pictures[0]?.number - Number(href.replace(/^#?p/, ""))];

  // An `img` with the thumbnail, or a sign that there is none.
  const small = (picture) => {
    const alt = `${picture.prompt.slice(0, 200)} (image ${picture.number})`;
    if (!picture.source) return element("span", { className: "gap", role: "img", ariaLabel: alt }, picture.problem);
    return element("img", { loading: "lazy", decoding: "async", alt, src: picture.source });
  };

  const draw = (picture) => {
    const card = by("card").content.firstElementChild.cloneNode(true);
    const set = (selector, text) => (card.querySelector(selector).textContent = text);
    card.id = `p${picture.number}`;
    const tile = card.querySelector(".tile");
    tile.href = picture.href || `#${card.id}`;
    tile.append(small(picture));
    if (picture.source && picture.problem)
      tile.append(element("span", { className: "warn" }, picture.problem));
    set(".prompt", picture.prompt);
    set(".model", picture.model);
    set("time", picture.day);
    card.querySelector("time").dateTime = picture.created;
    if (!picture.from.length) card.querySelector(".badge").remove();
    picture.card = card;
    return card;
  };

  // Put the next pictures on the page, at least as far as the one at `index`.
  const grow = (index = drawn) => {
    const end = Math.min(shown.length, Math.max(drawn, index + 1) + BATCH);
    const none = document.querySelector(".none");
    while (drawn < end) {
      const { month } = shown[drawn];
      const cards = [];
      while (drawn < end && shown[drawn].month === month) cards.push(draw(shown[drawn++]));
      let grid = list.querySelector(".month:last-of-type .grid");
      if (grid?.dataset.month !== month) {
        grid = element("ul", { className: "grid" });
        grid.dataset.month = month;
        none.before(element("section", { className: "month" }, element("h2", {}, month), grid));
      }
      grid.append(...cards);
    }
  };

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (picture) =>
      (picture.text ??= [picture.prompt, picture.problem, ...picture.rows.map((row) => row[1])]
        .join("\n")
        .toLowerCase());
    shown = pictures.filter((picture) => words.every((word) => text(picture).includes(word)));
    drawn = 0;
    for (const month of list.querySelectorAll(".month")) month.remove();
    grow(0);
    document.querySelector(".none").hidden = !pictures.length || shown.length > 0;
    by("found").textContent = words.length ? `${shown.length} of ${pictures.length}` : "";
  };

  const clear = () => {
    search.value = "";
    filter();
  };

  // The nearest tile above (-1) or below (1), by its position on the page.
  const vertical = (picture, direction) => {
    const here = picture.card.getBoundingClientRect();
    const at = shown.indexOf(picture);
    if (at + BATCH / 2 > drawn) grow(at);
    let best = null;
    let least = Infinity;
    for (let i = at + direction; i >= 0 && i < drawn; i += direction) {
      const there = shown[i].card.getBoundingClientRect();
      const rows = Math.abs(there.top - here.top);
      if (rows < 8) continue;
      const far = rows * 4 + Math.abs(there.left - here.left);
      if (far >= least && rows > 3 * here.height) break;
      if (far < least) [best, least] = [shown[i], far];
    }
    return best;
  };

  const focus = (picture) => {
    if (!picture) return;
    const at = shown.indexOf(picture);
    if (at >= drawn) grow(at);
    picture.card.querySelector(".tile").focus({ preventScroll: true });
    picture.card.scrollIntoView({ block: "nearest" });
  };

  const family = (title, kind, members) => {
    if (!members.length) return [];
    const items = members.map((member) => {
      if (Array.isArray(member)) return element("li", {}, link(...member));
      const kin = find(`#p${member}`) ?? { prompt: "" };
      const picture = kin.source ? [element("img", { src: kin.source, alt: "" })] : [];
      return element("li", {}, element("a", { className: "kin", href: `#p${member}` }, ...picture, kin.prompt));
    });
    return [element("h3", {}, title), element("ul", { className: `family ${kind}` }, ...items)];
  };

  const details = (picture) => {
    const rows = picture.rows.flatMap(([name, text, href]) => [
      element("dt", {}, name),
      element("dd", {}, name === "Continue" ? element("code", {}, text) : link(text, href)),
    ]);
    const problem = element("p", { className: "problem" }, `${picture.problem}.`);
    return [
      ...(picture.problem ? [problem] : []),
      ...family("Made from", "from", picture.from),
      ...family("Used for", "into", picture.into),
      element("dl", {}, ...rows),
    ];
  };

  const show = (picture) => {
    if (!picture) return;
    current = picture;
    image.hidden = !picture.source;
    by("box-gap").hidden = Boolean(picture.source);
    by("box-gap").textContent = picture.source ? "" : picture.problem;
    image.removeAttribute("src");
    by("box-more").replaceChildren(...details(picture));
    if (picture.source) {
      image.alt = small(picture).alt;
      image.src = picture.source;
      if (picture.href) full(picture);
    }
    const at = shown.indexOf(picture);
    by("box-place").textContent = at < 0 ? "" : `${at + 1} of ${shown.length}`;
    by("box-prompt").textContent = picture.prompt;
    by("before").disabled = at <= 0;
    by("after").disabled = at < 0 || at === shown.length - 1;
    document.querySelector(".panel").scrollTop = 0;
    if (!box.open) box.showModal();
  };

  // The thumbnail is shown until the image has loaded, or for good if that fails.
  const full = (picture) => {
    const whole = new Image();
    whole.onload = () => {
      if (current !== picture || !box.open) return;
      image.src = picture.href;
      const size = `${whole.naturalWidth} × ${whole.naturalHeight}`;
      by("box-more").querySelector("dl").append(element("dt", {}, "Size"), element("dd", {}, size));
    };
    whole.src = picture.href;
  };

  const step = (direction) => show(shown[shown.indexOf(current) + direction]);

  const isPlain = (event) => !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);

  list.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile || !isPlain(event)) return;
    event.preventDefault();
    show(find(tile.closest(".card").id));
  });
  box.addEventListener("click", (event) => {
    const kin = event.target.closest(".kin");
    if (kin) {
      event.preventDefault();
      show(find(kin.getAttribute("href")));
      by("close").focus();
    } else if (event.target === box) box.close();
  });
  box.addEventListener("close", () => {
    if (!shown.includes(current)) clear();
    focus(current);
  });
  by("close").addEventListener("click", () => box.close());
  by("before").addEventListener("click", () => step(-1));
  by("after").addEventListener("click", () => step(1));
  by("clear").addEventListener("click", () => {
    clear();
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
    const picture = card && find(card.id);
    if (document.activeElement === search) {
      if (event.key === "Escape" && search.value) clear();
      else if (event.key === "Escape" || event.key === "ArrowDown" || event.key === "Enter")
        focus(shown[0]);
      else return;
    } else if (event.key === "/") search.focus();
    else if (event.key === "Escape" && search.value) {
      clear();
      focus(picture);
    } else if (event.key.startsWith("Arrow") && picture) {
      const at = shown.indexOf(picture);
      if (event.key === "ArrowLeft") focus(shown[at - 1]);
      else if (event.key === "ArrowRight") focus(shown[at + 1]);
      else focus(vertical(picture, event.key === "ArrowUp" ? -1 : 1));
    } else if (event.key.startsWith("Arrow") && document.activeElement === document.body)
      focus(shown[0]);
    else return;
    event.preventDefault();
  });

  try {
    pictures = await read("latest");
    filter();
    pictures = pictures.concat(await read("older"));
  } catch {
    by("found").textContent = "This page needs a newer browser.";
    return;
  }
  if (search.value) filter();
  else shown = pictures;
  focus(location.hash ? find(location.hash) : null);
  new IntersectionObserver(
    (entries, observer) => {
      if (drawn >= shown.length || !entries.some((entry) => entry.isIntersecting)) return;
      grow();
      // Reported again, in case the end is still near.
      observer.unobserve(by("end"));
      observer.observe(by("end"));
    },
    { rootMargin: "2000px" },
  ).observe(by("end"));
})();
