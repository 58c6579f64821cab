// The gallery of the report. Texts of teachers and file names reach the page as text nodes only.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const texts = data.texts, images = data.images, exchanges = data.exchanges, rows = data.rows;
  const PAGE_ROWS = 24;
  const TAG = /\[(\d{1,6})\]/g;
  const SVG = "http://www.w3.org/2000/svg";
  const byId = (id) => document.getElementById(id);

  // ---- elements ----

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const drawn = (name, attributes, ...children) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  // Of a model's text, whose direction stays its own.
  const worded = (name, className, text) => element(name, { class: className, dir: "auto" }, text);
  const listed = (numbers) => {
    const list = element("ul", { class: "lines" });
    for (const number of numbers) list.append(worded("li", "", texts[number]));
    return list;
  };
  const colour = (number) => number % data.colours;

  // ---- theme ----

  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const theme = byId("theme");
  const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameTheme(); });
  dark.addEventListener("change", nameTheme);
  nameTheme();

  // ---- pictures ----

  const region = (image, [number, x1, y1, x2, y2], isMentioned, isNumbered) => {
    const [left, top] = [x1 * image.width, y1 * image.height];
    const [width, height] = [(x2 - x1) * image.width, (y2 - y1) * image.height];
    const unit = Math.max(image.width, image.height) / 100;
    const kind = isMentioned ? "mentioned" : "other";
    const group = drawn("g", { class: kind });
    const place = { x: left, y: top, width, height }, line = isMentioned ? unit : unit / 2;
    const edge = drawn("rect", { class: `edge edge-${colour(number)}`, ...place, "stroke-width": line * 1.8 });
    const box = drawn("rect", { class: `box mark-${colour(number)}`, ...place, "stroke-width": line });
    const pattern = data.patterns[Math.floor(number / data.colours) % data.patterns.length];
    if (pattern.length) box.setAttribute("stroke-dasharray", pattern.map((length) => length * unit).join(" "));
    group.append(edge, box);
    if (isNumbered) {
      const [wide, high] = [unit * (3 + 3.2 * String(number).length), unit * 6.5];
      const x = Math.min(Math.max(left, 0), image.width - wide);
      const y = top >= high ? top - high : top;
      group.append(
        drawn("rect", { class: `plate mark-${colour(number)}`, x, y, width: wide, height: high }),
        drawn("text", { class: `ink-${colour(number)}`, x: x + wide / 2, y: y + unit * 5, "font-size": unit * 5.4, "text-anchor": "middle" }, String(number)),
      );
    }
    return group;
  };

  const picture = (row, showAll) => {
    const image = images[row.image];
    const figure = element("figure", { class: "picture" });
    if (image.address) {
      figure.append(element("img", { src: image.address, alt: "", width: image.width, height: image.height, decoding: "async" }));
    } else {
      figure.classList.add("gone");
    }
    const mentioned = new Set(row.texts.flatMap(([, , numbers]) => numbers));
    const names = image.regions.map(([number]) => number).filter((number) => mentioned.has(number));
    const label = names.length ? `Picture with the regions ${names.join(", ")} marked` : "Picture";
    const overlay = drawn("svg", { viewBox: `0 0 ${image.width} ${image.height}`, role: "img", "aria-label": label });
    const order = image.regions.map((one) => [mentioned.has(one[0]), one]).sort((a, b) => a[0] - b[0]);
    for (const [isMentioned, one] of order) if (isMentioned || showAll) overlay.append(region(image, one, isMentioned, isMentioned || showAll));
    figure.append(overlay);
    if (!image.address) figure.append(element("figcaption", {}, "The picture cannot be read any more."));
    return figure;
  };

  // A text with its tags `[k]` in the colour of their regions.
  const tagged = (text, image) => {
    const known = new Set(image.regions.map(([number]) => number));
    const parts = [];
    let end = 0;
    for (const found of text.matchAll(TAG)) {
      const number = Number(found[1]);
      if (!known.has(number)) continue;
      parts.push(text.slice(end, found.index), element("span", { class: `tag region-${colour(number)}` }, found[0]));
      end = found.index + found[0].length;
    }
    return [...parts, text.slice(end)];
  };

  // ---- rows ----

  const section = (title, ...content) => element("section", {}, element("h4", {}, title), ...content);
  const filled = (title, numbers) => (numbers.length ? [section(title, listed(numbers))] : []);

  const conversation = (request) => {
    const title = `${request.field.replaceAll("_", " ")} ${request.key}`;
    if (request.exchange === undefined) return section(title, worded("p", "quiet", texts[request.note]));
    const exchange = exchanges[request.exchange];
    const made = section(title, listed(exchange.about));
    for (const [role, text, pictures] of exchange.messages) {
      made.append(element("h5", {}, role));
      for (const number of pictures) made.append(worded("p", "quiet reference", `picture ${texts[number]}`));
      made.append(worded("pre", "said", texts[text]));
    }
    const ending = exchange.ending && exchange.ending !== "stop" ? `reply, ended by ${exchange.ending}` : "reply";
    made.append(element("h5", {}, ending), worded("pre", "said reply", texts[exchange.reply]));
    return made;
  };

  const regionList = (image) => {
    const list = element("ul", { class: "lines" });
    for (const [number, , , , , line] of image.regions) {
      list.append(element("li", { dir: "auto" }, element("span", { class: `tag region-${colour(number)}` }, `[${number}]`), ` ${texts[line]}`));
    }
    return list;
  };

  const lineage = (row) => {
    const image = images[row.image];
    const known = element("div"), told = element("div");
    known.append(
      section("Image", picture(row, true), worded("p", "source", image.source), element("p", { class: "quiet reference" }, `${image.about}; ${image.id}`)),
    );
    if (image.regions.length) known.append(section("Regions", regionList(image)));
    known.append(
      ...filled("What was known of the picture", image.known),
      ...filled("What came in beside the picture", image.beside),
    );
    told.append(
      ...filled("In the corpus", row.place),
      ...filled("Judged", row.judged),
      ...filled("What the stages said", row.steps),
      section("Teacher", worded("p", "", texts[row.teacher])),
      ...filled("Fields", row.fields),
      ...row.requests.map(conversation),
      ...filled("Other rows of the same reply", row.others),
    );
    return element("div", { class: "lineage" }, known, told);
  };

  const card = (row) => {
    const image = images[row.image];
    const head = element("p", { class: "head" }, element("span", { class: `state ${row.state.replace(" ", "-")}` }, row.state));
    if (row.least !== null) head.append(element("span", { class: "score" }, row.least.toFixed(2)));
    if (row.split) head.append(element("span", { class: "quiet" }, row.split));
    const words = element("dl", { class: "texts" });
    for (const [name, text] of row.texts) {
      words.append(element("div", {}, element("dt", {}, name), element("dd", { dir: "auto" }, ...tagged(texts[text], image))));
    }
    const body = element("div", { class: "body" }, head);
    if (row.state !== "kept") body.append(worded("p", "why", texts[row.fate]));
    const more = element("details", {}, element("summary", {}, "Lineage ", element("code", {}, row.id)));
    const made = element("article", { class: "row" }, picture(row, false), body);
    body.append(words);
    made.append(more);
    more.addEventListener("toggle", () => {
      if (more.open && more.childElementCount === 1) more.append(lineage(row));
      made.classList.toggle("open", more.open);
    });
    return made;
  };

  // ---- filters ----

  const form = byId("filters"), list = byId("rows"), count = byId("count"), next = byId("next");
  const counted = (values) => {
    const found = new Map();
    for (const value of values) if (value) found.set(value, (found.get(value) || 0) + 1);
    return [...found].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  };
  const fill = (name, found, most, least = 1) => {
    const select = form.elements[name];
    for (const [value, number] of found.slice(0, most)) {
      select.append(element("option", { value }, `${value} (${number.toLocaleString("en")})`));
    }
    select.closest("label").hidden = found.length < least;
  };
  fill("state", counted(rows.map((row) => row.state)), 10);
  fill("why", counted(rows.map((row) => row.why)), 200);
  fill("type", counted(rows.flatMap((row) => row.types)), 50, 2);
  fill("opening", counted(rows.map((row) => row.opening)), 60);
  fill("split", counted(rows.map((row) => row.split)), 50, 2);
  const critics = counted(rows.flatMap((row) => Object.keys(row.scores)));
  for (const [name] of critics) form.elements.critic.append(element("option", { value: name }, name));
  for (const name of ["critic", "least", "most"]) form.elements[name].closest("label").hidden = critics.length === 0;

  const score = (row, critic) => (critic ? row.scores[critic] : row.least) ?? null;
  let searched = null; // what is searched, made when somebody searches
  const contents = () => {
    searched ??= rows.map((row) => [row.id, images[row.image].source, texts[row.fate], ...row.texts.map((one) => texts[one[1]])].join("\n").toLowerCase());
    return searched;
  };

  let chosen = [], shown = 0;
  const choose = () => {
    const value = Object.fromEntries([...new FormData(form)]);
    const least = value.least === "" ? -Infinity : Number(value.least), most = value.most === "" ? Infinity : Number(value.most);
    const words = value.search.trim().toLowerCase();
    const has = words ? contents() : null;
    chosen = [];
    rows.forEach((row, place) => {
      const found = score(row, value.critic);
      if (value.state && row.state !== value.state) return;
      if (value.why && row.why !== value.why) return;
      if (value.type && !row.types.includes(value.type)) return;
      if (value.opening && row.opening !== value.opening) return;
      if (value.split && row.split !== value.split) return;
      if (least > -Infinity && !(found >= least && found !== null)) return;
      if (most < Infinity && !(found <= most && found !== null)) return;
      if (has && !has[place].includes(words)) return;
      chosen.push(row);
    });
    if (value.sort !== "made") {
      const turn = value.sort === "best" ? -1 : 1;
      const known = (row) => score(row, value.critic);
      // Rows that no critic scored come last either way.
      chosen.sort((a, b) => (known(a) === null) - (known(b) === null) || turn * (known(a) - known(b)));
    }
  };
  const showMore = () => {
    const part = document.createDocumentFragment();
    for (const row of chosen.slice(shown, shown + PAGE_ROWS)) part.append(card(row));
    list.append(part);
    shown = Math.min(shown + PAGE_ROWS, chosen.length);
    next.hidden = shown === chosen.length;
    next.textContent = `Show more (${(chosen.length - shown).toLocaleString("en")} left)`;
  };
  const show = () => {
    choose();
    list.replaceChildren();
    shown = 0;
    showMore();
    count.textContent = `${chosen.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows on this page`;
  };
  let waiting = 0;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(show, 120); });
  form.addEventListener("submit", (event) => { event.preventDefault(); show(); });
  form.addEventListener("reset", () => setTimeout(show, 0));
  next.addEventListener("click", () => {
    const first = list.childElementCount;
    showMore();
    list.children[first]?.querySelector("summary").focus({ preventScroll: true });
  });
  if (window.matchMedia("(max-width: 719px)").matches) byId("filtering").open = false;
  byId("asleep").hidden = true;
  byId("awake").hidden = false;
  show();
})();
