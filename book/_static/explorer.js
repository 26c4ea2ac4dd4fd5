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

  // An axis that stays where it is shows how far a control moves the picture. So both span all states,
  // unless some state would be too small to see on them. Returns the names of axes that do not stay.
  const keepAxes = (spec, states) => {
    const layers = [spec, ...(spec.layer ?? [])];
    const fits = { x: "horizontal", y: "vertical" };
    return Object.keys(fits).filter((axis) => {
      const on = (name) => layers.map(({ encoding }) => encoding?.[name]).filter((part) => part?.field);
      const main = on(axis).filter(({ type }) => type === "quantitative");
      const fields = [...new Set([...main, ...on(`${axis}2`)].map(({ field }) => field))];
      const isKnown = fields.every((field) => field in states[0].columns);
      if (!main.length || main.some(({ scale }) => scale?.domain)) return false;
      const isLog = main.some(({ scale }) => scale?.type === "log");
      const size = isLog ? Math.log : (number) => number;
      const spans = states.map(({ columns }) => {
        const numbers = fields.flatMap((field) => columns[field] ?? []).filter(Number.isFinite);
        if (!isLog && main.every(({ scale }) => scale?.zero !== false)) numbers.push(0);
        return [Math.min(...numbers), Math.max(...numbers)];
      });
      const whole = [Math.min(...spans.map(([low]) => low)), Math.max(...spans.map(([, high]) => high))];
      const width = ([low, high]) => size(high) - size(low);
      const isStacked = layers.some(({ mark, encoding }) =>
        ["bar", "area"].includes(mark?.type ?? mark) && (encoding ?? spec.encoding)?.color?.field);
      const smallest = Math.min(...spans.map(width));
      const stays = isKnown && !isStacked && smallest > 0.08 * width(whole);
      if (stays) for (const part of main) part.scale = { ...part.scale, domain: whole, nice: true };
      return !stays && spans.some((span) => span.some((end, i) => end !== whole[i]));
    }).map((axis) => fits[axis]);
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
      this.queue(() => this.view.data("rows", rowsOf(this.state.columns)).resize().runAsync());
    }

    draw() {
      return this.queue(async () => {
        this.chart.hidden = false; // its width is measured
        const width = this.chart.clientWidth;
        const spec = { config: { legend: legendAbove(width), axis: { labelSeparation: 6 } } };
        mergeInto(spec, fitTo(this.data.chart, width));
        this.sayWhatMoves(keepAxes(spec, this.data.states));
        mergeInto(spec, {
          width: "container",
          autosize: { type: "fit-x", contains: "padding" },
          background: "transparent",
          datasets: { rows: rowsOf(this.state.columns) },
          config: mergeInto(themeColours(), width < 400 ? SMALL : {}),
        });
        this.view?.finalize();
        const result = await window.vegaEmbed(this.canvas, spec, { actions: false, renderer: "svg" });
        this.view = result.view;
        this.still.hidden = true;
        this.readouts.setAttribute("aria-live", "polite");
      });
    }

    sayWhatMoves(axes) {
      this.note?.remove();
      if (!axes.length) return;
      const text = `The ${axes.join(" and the ")} axis fits each setting: read its numbers.`;
      this.note = make("p", { class: "explorer-note" }, text);
      this.chart.after(this.note);
    }

    remove() {
      this.note?.remove();
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
