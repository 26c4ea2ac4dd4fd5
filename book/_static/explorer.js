"use strict";

// Makes the explorers of a page live, and repeats a reader's prediction beside its outcome.
// Every state was computed by the course's own Python function; this script only looks it up.
(() => {
  const script = document.currentScript;
  const explorers = [];
  let vegaLoads = null;

  // <data-vega> is missing when the site was built without the charts' library.
  const loadVega = () => {
    vegaLoads ??= new Promise((resolve, reject) => {
      if (!script.dataset.vega) return reject(new Error("no chart library in this site"));
      const tag = document.createElement("script");
      tag.src = new URL(script.dataset.vega, script.src).href;
      tag.onload = resolve;
      tag.onerror = () => reject(new Error("the chart library did not load"));
      document.head.append(tag);
    });
    return vegaLoads;
  };

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  // {x: [1, 2], y: [3, 4]} → [{x: 1, y: 3}, {x: 2, y: 4}]
  const rowsOf = (columns) => {
    const names = Object.keys(columns);
    const length = names.length ? columns[names[0]].length : 0;
    return Array.from({ length }, (_, row) =>
      Object.fromEntries(names.map((name) => [name, columns[name][row]])));
  };

  const themeColours = () => {
    const style = getComputedStyle(document.documentElement);
    const text = style.getPropertyValue("--pst-color-text-base").trim();
    const muted = style.getPropertyValue("--pst-color-text-muted").trim();
    const line = style.getPropertyValue("--pst-color-border").trim();
    const words = { labelColor: muted, titleColor: text };
    return {
      axis: { ...words, gridColor: line, domainColor: muted, tickColor: muted },
      legend: words,
      header: words,
      title: { color: text, subtitleColor: muted },
      text: { color: text },
      rule: { color: muted },
    };
  };

  // A line's blue is too dark for the dark theme's bands, and on a phone words need room.
  const DARK_COLOURS = { "#0072B2": "#9ad1f7" };
  const SMALL = { text: { fontSize: 10 }, axisX: { titleAnchor: "end" } };
  const isDark = () => document.documentElement.dataset.theme === "dark";

  // On a phone a picture of numbers is lower, so that it is seen together with what moves it.
  const LOW = 220;

  // A legend above the chart is not cut off at its right, and its marks are as strong as its words
  // even where the chart's own are faint. A chart's own settings come before these.
  const legendAbove = (width) =>
    ({ orient: "top", columns: Math.max(1, Math.floor(width / 150)), symbolOpacity: 1 });

  const mergeInto = (target, extra) => {
    for (const [key, value] of Object.entries(extra)) {
      const both = value && target[key] && typeof value === "object" && typeof target[key] === "object";
      target[key] = both ? mergeInto({ ...target[key] }, value) : value;
    }
    return target;
  };

  // Vega breaks no lines by itself, and an axis' title is longer than a phone is wide; so are a
  // chart's own legend in columns and names beside the axis.
  const fitTo = (spec, width) => {
    const letters = Math.max(16, Math.floor((width - 70) / 7));
    const line = new RegExp(`(\\S{${letters},}|.{1,${letters}})(\\s+|$)`, "g");
    const fitting = {
      title: (title) => typeof title === "string" && title.length > letters
        ? title.match(line).map((part) => part.trim())
        : title,
      legend: (legend) => legend?.columns
        ? { ...legend, columns: Math.min(legend.columns, legendAbove(width).columns) }
        : legend,
      labelLimit: (limit) => Math.min(limit, 0.4 * width),
      color: (colour) => isDark() ? DARK_COLOURS[colour] ?? colour : colour,
    };
    return JSON.parse(JSON.stringify(spec), (key, value) => fitting[key]?.(value) ?? value);
  };

  // A chart's two axes: what lies on each, whether it holds numbers, and how long a state is on it.
  const axesOf = (spec) => {
    const layers = [spec, ...(spec.layer ?? [])];
    return [["x", "horizontal"], ["y", "vertical"]].map(([axis, word]) => {
      const on = (name) => layers.map(({ encoding }) => encoding?.[name]).filter((part) => part?.field);
      const parts = on(axis).filter(({ type }) => type === "quantitative");
      const fieldsIn = (list) => [...new Set(list.map(({ field }) => field))];
      const fields = fieldsIn([...parts, ...on(`${axis}2`)]);
      const isLog = parts.some(({ scale }) => scale?.type === "log");
      const size = isLog ? Math.log : (number) => number;
      const hasZero = !isLog && parts.every(({ scale }) => scale?.zero !== false);
      return {
        axis, word, parts, fields,
        names: parts.length ? [] : fieldsIn(on(axis)),
        span: (...states) => {
          const numbers = states.flatMap(({ columns }) => fields.flatMap((field) => columns[field] ?? []));
          const ends = [...numbers.filter(Number.isFinite), ...(hasZero ? [0] : [])];
          return [Math.min(...ends), Math.max(...ends)];
        },
        width: ([low, high]) => size(high) - size(low),
      };
    });
  };

  // Beside a picture this much larger, one is too small to be read.
  const SMALLEST = 0.08;

  // An axis that stays where it is shows how far a control moves the picture. So both span all states,
  // unless some state would be too small to see on them: then the axis moves.
  const keepAxes = (spec, states) => {
    const layers = [spec, ...(spec.layer ?? [])];
    const isStacked = layers.some(({ mark, encoding }) =>
      ["bar", "area"].includes(mark?.type ?? mark) && (encoding ?? spec.encoding)?.color?.field);
    return axesOf(spec).map((axis) => {
      const isKnown = axis.fields.every((field) => field in states[0].columns);
      if (!axis.parts.length || axis.parts.some(({ scale }) => scale?.domain)) return axis;
      const spans = states.map((state) => axis.span(state));
      const whole = [Math.min(...spans.map(([low]) => low)), Math.max(...spans.map(([, high]) => high))];
      const smallest = Math.min(...spans.map(axis.width));
      const stays = isKnown && !isStacked && smallest > SMALLEST * axis.width(whole);
      if (stays) for (const part of axis.parts) part.scale = { ...part.scale, domain: whole, nice: true };
      return { ...axis, moves: !stays && spans.some((span) => span.some((end, i) => end !== whole[i])) };
    });
  };

  // The start stays behind what a control makes of it: each mark that shows numbers is drawn once more,
  // in grey, from rows of its own. What stands beside each other lies under the marks, and the outline
  // of a bar over them. These are parts of the chart as Vega draws it, which names no ghost in a legend.
  const START = "start-";
  const addGhost = (chart, moving, colour, ground) => {
    const copies = new Set(["rows"]);
    for (const { name, source } of chart.data) if (copies.has(source)) copies.add(name);
    const renamed = (name) => copies.has(name) ? `${START}${name}` : name;
    chart.data = chart.data.flatMap((entry) => copies.has(entry.name)
      ? [entry, { ...entry, name: renamed(entry.name), ...(entry.source
        ? { source: renamed(entry.source) }
        : {}) }]
      : [entry]);
    for (const { name: axis, domain } of chart.scales ?? []) {
      if (!moving.includes(axis) || !(domain?.data || domain?.fields)) continue; // both fit on it
      const parts = (domain.fields ?? [domain.field])
        .map((field) => typeof field === "string" ? { data: domain.data, field } : field);
      const ghosts = parts.filter(({ data }) => copies.has(data));
      for (const name of ["data", "field", "fields"]) delete domain[name];
      domain.fields = [...parts, ...ghosts.map((part) => ({ ...part, data: renamed(part.data) }))];
    }
    chart.signals = [...(chart.signals ?? []), { name: "startOpacity", value: 0 }];
    const looks = {
      area: { fill: colour, fillOpacity: 0.25, stroke: "transparent" },
      line: { fill: "transparent", stroke: colour, strokeWidth: 2, strokeDash: [5, 3] },
      rect: { fill: "transparent", stroke: colour, strokeWidth: 1.5, strokeDash: [5, 3] },
      rule: { stroke: colour, strokeDash: [5, 3] },
      symbol: { fill: "transparent", stroke: colour, strokeWidth: 1.5 },
    };
    const copied = (mark) => {
      const from = mark.from?.facet ?? mark.from;
      const copy = JSON.parse(JSON.stringify(mark));
      Object.assign(copy, { name: `${START}${mark.name}`, interactive: false });
      if (from) (copy.from.facet ?? copy.from).data = renamed(from.data);
      if (mark.type === "group") {
        copy.marks = mark.marks.map(copied).filter(Boolean);
        return copy.marks.length && copy;
      }
      const isShown = mark.type in looks && from && JSON.stringify(mark.encode.update).includes('"field"');
      if (!isShown || mark.style?.includes?.("rect")) return null; // a square's colour says its number
      for (const part of ["tooltip", "description"]) delete copy.encode.update[part];
      for (const [part, value] of Object.entries(looks[mark.type])) copy.encode.update[part] = { value };
      copy.encode.update.opacity = { signal: "startOpacity" };
      return copy;
    };
    const ghosts = chart.marks.map(copied).filter(Boolean);
    const isOver = ({ type }) => type === "rect";
    const bright = ({ encode: { update }, ...mark }) => // or the outline would not be seen on a bar
      ({ ...mark, name: `${mark.name}-ground`, encode: { update: {
        ...update, stroke: { value: ground }, strokeWidth: { value: 3 }, strokeDash: { value: [] },
      } } });
    const over = ghosts.filter(isOver);
    chart.marks = [...ghosts.filter((mark) => !isOver(mark)), ...chart.marks, ...over.map(bright), ...over];
    return chart;
  };

  // Where few bars share an axis, each would be as thick as a wall.
  const THICKEST = 48;
  const thinBars = (chart) => {
    for (const { style, encode } of chart.marks) {
      for (const [side, size] of style?.includes?.("bar") ? [["x", "width"], ["y", "height"]] : []) {
        const { [side]: place, [size]: thickness } = encode.update;
        if (!place?.scale || !thickness?.signal?.includes("bandwidth")) continue;
        place.offset = { signal: `max(0, ${thickness.signal} - ${THICKEST}) / 2` };
        thickness.signal = `min(${THICKEST}, ${thickness.signal})`;
      }
    }
    return chart;
  };

  // 10⁻⁷ is read sooner than 1e-7.
  const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const writePowers = (chart) => {
    const power = "floor(log(datum.value) / LN10 + 1e-9)";
    const factor = `round(datum.value / pow(10, ${power}))`;
    const digit = (number) => `substring('${SUPERSCRIPTS}', ${number}, ${number} + 1)`;
    const size = `abs(${power})`;
    const above = `(${power} < 0 ? '⁻' : '') + (${size} > 9 ? ${digit(`floor(${size} / 10)`)} : '') `
      + `+ ${digit(`${size} % 10`)}`;
    const text = `${size} < 2 ? format(datum.value, '~g') `
      + `: (${factor} === 1 ? '' : ${factor} + ' · ') + '10' + ${above}`;
    for (const axis of chart.axes ?? []) {
      if (!axis.format?.endsWith?.("e")) continue;
      delete axis.format;
      axis.encode = mergeInto(axis.encode ?? {}, { labels: { update: { text: { signal: text } } } });
    }
    return chart;
  };

  class Explorer {
    constructor(figure) {
      this.figure = figure;
      this.data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
      this.readouts = figure.querySelector(".explorer-readouts");
      this.still = figure.querySelector(".explorer-static");
      this.chart = make("div", { class: "explorer-chart", role: "img", "aria-label": this.data.alt });
      this.canvas = make("div", { "aria-hidden": "true" });
      this.chart.append(this.canvas);
      this.chart.hidden = true;
      const { width } = this.data.chart; // less than usual where the picture's shape says something
      if (width < 560) this.chart.style.maxWidth = `${width}px`;
      this.still.after(this.chart);
      this.inputs = this.data.controls.map((control) => this.addControl(control));
      this.start = this.state;
      this.addMemory();
      this.drawn = Promise.resolve();
    }

    addControl(control) {
      const id = `explorer-${this.figure.dataset.explorer}-${control.name}`;
      const start = control.values.indexOf(control.start);
      const isNumber = control.values.every((value) => typeof value === "number");
      const input = isNumber
        ? make("input", { type: "range", id, min: 0, max: control.values.length - 1, step: 1, value: start })
        : make("select", { id }, ...control.texts.map((text, index) => new Option(text, index)));
      input.value = start;
      const label = make("label", { for: id }, control.label);
      const row = make("div", { class: "explorer-control" }, label, input);
      if (isNumber) {
        const output = make("output", { for: id }, control.texts[start]);
        row.append(output);
        input.setAttribute("aria-valuetext", control.texts[start]);
        input.addEventListener("input", () => {
          output.textContent = control.texts[input.value];
          input.setAttribute("aria-valuetext", control.texts[input.value]);
        });
      }
      input.addEventListener("input", () => this.update());
      this.controls ??= this.figure.insertBefore(
        make("div", { class: "explorer-controls" }), this.readouts);
      this.controls.append(row);
      return input;
    }

    // What is grey in the picture, and the way back; its place is kept, so that nothing jumps.
    addMemory() {
      this.words = make("span");
      const back = make("button", { type: "button" }, "Back to the start");
      back.addEventListener("click", () => {
        this.inputs.forEach((input, i) => {
          const { values, start } = this.data.controls[i];
          input.value = values.indexOf(start);
          input.dispatchEvent(new Event("input"));
        });
        this.inputs[0].focus();
      });
      this.memory = make("p", { class: "explorer-memory" }, this.words, back);
      this.chart.after(this.memory);
    }

    // The start's rows to draw beside the state's own, and what to say of them. Where a picture is of
    // other things than at the start, or of the same in the same place, there are none.
    get ghost() {
      const now = this.state.columns;
      const then = this.start.columns;
      const fields = [...new Set(this.axes.flatMap(({ fields, names }) => [...fields, ...names]))];
      const known = fields.filter((field) => field in then);
      const isElsewhere = this.axes.some(({ names }) =>
        names.some((name) => then[name]?.some((value) => !now[name].includes(value))));
      const placeOf = (row) => JSON.stringify(known.map((field) => row[field]));
      const places = new Set(rowsOf(now).map(placeOf));
      const rows = rowsOf(then);
      const moved = known.length < fields.length ? rows : rows.filter((row) => !places.has(placeOf(row)));
      if (!this.hasGhost || this.state === this.start || isElsewhere || !moved.length) return { words: "" };
      const isTooLarge = this.axes.some(({ moves, span, width }) =>
        moves && width(span(this.state)) < SMALLEST * width(span(this.state, this.start)));
      if (isTooLarge) return { words: "The start is too large for this picture." };
      return { rows: this.hasLines ? rows : moved, words: "Grey: the start." };
    }

    show() {
      const { rows, words } = this.ghost;
      const now = rowsOf(this.state.columns);
      this.words.textContent = words;
      this.memory.classList.toggle("moved", this.state !== this.start);
      if (this.hasGhost) {
        const none = this.axes.some(({ moves }) => moves) ? now : []; // or its axis would have no end
        this.view.data(`${START}rows`, rows ?? none).signal("startOpacity", rows ? 1 : 0);
      }
      return this.view.data("rows", now).resize().runAsync();
    }

    // States are stored with the last control's value changing fastest.
    get state() {
      const index = this.data.controls.reduce(
        (sum, control, i) => sum * control.values.length + Number(this.inputs[i].value), 0);
      return this.data.states[index];
    }

    // One picture after the other: a new theme and a moved control may come together. A picture that
    // could not be drawn must not keep the next one from being tried.
    queue(task) {
      this.drawn = this.drawn.then(task, task);
      return this.drawn;
    }

    update() {
      const values = this.readouts.querySelectorAll("dd");
      Object.values(this.state.readouts).forEach((text, i) => {
        if (values[i].textContent !== text) values[i].textContent = text;
      });
      this.queue(() => this.show());
    }

    draw() {
      return this.queue(async () => {
        this.chart.hidden = false; // its width is measured
        const width = this.chart.clientWidth;
        const spec = { config: { legend: legendAbove(width), axis: { labelSeparation: 6 } } };
        mergeInto(spec, fitTo(this.data.chart, width));
        this.axes = keepAxes(spec, this.data.states);
        if (width < 400 && this.axes[1].parts.length) spec.height = Math.min(spec.height, LOW);
        this.sayWhatMoves(this.axes.filter(({ moves }) => moves).map(({ word }) => word));
        mergeInto(spec, {
          width: "container",
          autosize: { type: "fit-x", contains: "padding" },
          background: "transparent",
          datasets: { rows: rowsOf(this.state.columns) },
          config: mergeInto(themeColours(), width < 400 ? SMALL : {}),
        });
        this.view?.finalize();
        const { rule } = themeColours();
        const ground = getComputedStyle(document.documentElement)
          .getPropertyValue("--pst-color-background").trim();
        const moving = this.axes.filter(({ moves }) => moves).map(({ axis }) => axis);
        const patch = (chart) => addGhost(writePowers(thinBars(chart)), moving, rule.color, ground);
        const result = await window.vegaEmbed(this.canvas, spec, { actions: false, renderer: "svg", patch });
        this.view = result.view;
        const marks = JSON.stringify(result.vgSpec.marks);
        this.hasGhost = marks.includes(`"name":"${START}`);
        this.hasLines = /"type":"(line|area)"/.test(marks);
        await this.show();
        this.still.hidden = true;
        this.readouts.setAttribute("aria-live", "polite");
      });
    }

    sayWhatMoves(axes) {
      this.note?.remove();
      if (!axes.length) return;
      const text = `The ${axes.join(" and the ")} axis fits each setting: read its numbers.`;
      this.note = make("p", { class: "explorer-note" }, text);
      this.memory.after(this.note);
    }

    remove() {
      this.note?.remove();
      this.memory?.remove();
      this.chart.remove();
      this.controls?.remove();
      this.still.hidden = false;
    }
  }

  const startExplorer = async (figure) => {
    let explorer;
    try {
      await loadVega();
      explorer = new Explorer(figure);
      await explorer.draw();
      // Vega follows the window; this also follows a side bar that opens.
      new ResizeObserver(() => window.dispatchEvent(new Event("resize"))).observe(explorer.chart);
      figure.explorer = explorer;
      figure.dataset.ready = "";
      explorers.push(explorer);
    } catch (error) {
      explorer?.remove();
      console.info(`Explorer ${figure.dataset.explorer} stays a picture: ${error.message}`);
    }
  };

  const repeatPrediction = (radio) => {
    const name = radio.closest(".prediction").dataset.name;
    const outcome = document.querySelector(`.outcome[data-name="${name}"]`);
    if (!outcome) return;
    const chosen = radio.parentElement.textContent.trim();
    outcome.querySelector(".outcome-yours")?.remove();
    outcome.prepend(make("p", { class: "outcome-yours" }, `You predicted: ${chosen}`));
  };

  document.querySelectorAll(".prediction input").forEach((radio) => {
    if (radio.checked) repeatPrediction(radio); // kept by the browser over a reload
    radio.addEventListener("change", () => repeatPrediction(radio));
  });

  // The charts' library is heavier than the page: it is loaded when an explorer comes near the
  // view, or at the first key, because keys reach only controls that are there.
  const near = window.IntersectionObserver && new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) startOnce(target);
  }, { rootMargin: "100% 0px" });
  const startOnce = (figure) => {
    near?.unobserve(figure);
    if (waiting.delete(figure)) startExplorer(figure);
  };
  const waiting = new Set(document.querySelectorAll("figure.explorer"));
  const startAll = () => [...waiting].forEach(startOnce);
  if (near) waiting.forEach((figure) => near.observe(figure));
  else startAll();
  addEventListener("keydown", startAll, { once: true });

  new MutationObserver(() => explorers.forEach((explorer) => explorer.draw()))
    .observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
