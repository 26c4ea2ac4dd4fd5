"use strict";

// Differentiates a formula that a reader types, as companion.teaching.differentiate does in Python, and
// draws its graph. network.js asks for the form that is made here.
(window.courseForms ??= []).push(({ Form, make, button, count }) => {
  // Each function's value, and its slope from its input x and its value y.
  const FUNCTIONS = {
    exp: [Math.exp, (x, y) => y],
    log: [Math.log, (x) => 1 / x],
    relu: [(x) => Math.max(x, 0), (x) => x > 0 ? 1 : 0],
    sigmoid: [(x) => 1 / (1 + Math.exp(-x)), (x, y) => y * (1 - y)],
    tanh: [Math.tanh, (x, y) => 1 - y * y],
  };
  const LONGEST = 2000; // characters
  const MOST_DRAWN = 40; // nodes
  const PIECE = /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(\*\*|[-+*/()]))/y;
  const HINTS = { "^": "Write ** for a power, as in x ** 2.", "×": "Write * for times.", "·": "Write * for times." };

  const piecesOf = (text) => {
    const pieces = [];
    for (PIECE.lastIndex = 0; text.slice(PIECE.lastIndex).trim();) {
      const start = PIECE.lastIndex;
      const found = PIECE.exec(text);
      if (!found) {
        const [letter] = text.slice(start).trim();
        throw new Error(`“${letter}” is not known here. ${HINTS[letter] ?? "There are numbers, names, + - * / ** and brackets."}`);
      }
      pieces.push({ number: found[1], name: found[2], sign: found[3] });
    }
    return pieces;
  };

  // A formula as its nodes, each after its inputs. A node knows by which factor its slope reaches each.
  class Graph {
    constructor(text) {
      if (text.length > LONGEST) throw new Error(`The formula has ${count(text.length, "character")}; at most ${LONGEST.toLocaleString("en-GB")} are read.`);
      this.nodes = [];
      this.names = new Map();
      const lines = text.split(/[\n;]/).map((line) => line.replace(/#.*/, "").trim()).filter(Boolean);
      if (!lines.length) throw new Error("There is no formula: type one first, or choose one below.");
      lines.forEach((line, i) => {
        const [, name, rest] = line.match(/^([A-Za-z_]\w*)\s*=(?!=)(.*)$/) ?? [undefined, undefined, line];
        const isLast = i === lines.length - 1;
        if (!name && !isLast) throw new Error(`“${line}” gives no name a value; only the last line may do without one.`);
        const made = name ?? "result";
        if (this.names.has(made) || made in FUNCTIONS) throw new Error(`“${made}” is set twice, or is a function: take another name.`);
        this.pieces = piecesOf(rest);
        const node = this.sum();
        if (this.pieces.length) throw new Error(`“${line}” cannot be read from “${this.next}” on.`);
        node.name ??= name;
        this.names.set(made, node);
        this.result = node;
      });
    }

    get next() {
      const { number, name, sign } = this.pieces[0] ?? {};
      return number ?? name ?? sign;
    }

    add(sign, value, inputs = []) {
      if (!Number.isFinite(value)) throw new Error(`The result of ${sign} is no finite number. Look for a division by zero, a logarithm of a number that is not positive, or a number too large for exp.`);
      const node = { sign, value, inputs, slope: 0 };
      this.nodes.push(node);
      return node;
    }

    sum() {
      let a = this.product();
      while (["+", "-"].includes(this.pieces[0]?.sign)) {
        const { sign } = this.pieces.shift();
        const [b, way] = [this.product(), sign === "+" ? 1 : -1];
        a = this.add(sign === "+" ? "+" : "−", a.value + way * b.value, [[a, 1], [b, way]]);
      }
      return a;
    }

    product() {
      let a = this.signed();
      while (["*", "/"].includes(this.pieces[0]?.sign)) {
        const { sign } = this.pieces.shift();
        const b = this.signed();
        a = sign === "*"
          ? this.add("×", a.value * b.value, [[a, b.value], [b, a.value]])
          : this.add("÷", a.value / b.value, [[a, 1 / b.value], [b, -a.value / b.value ** 2]]);
      }
      return a;
    }

    signed() {
      const { sign } = this.pieces[0] ?? {};
      if (sign !== "-" && sign !== "+") return this.power();
      this.pieces.shift();
      if (sign === "+") return this.signed();
      if (this.pieces[0]?.number !== undefined && this.pieces[1]?.sign !== "**") {
        return this.add("number", -Number(this.pieces.shift().number));
      }
      const x = this.signed();
      return this.add("−", -x.value, [[x, -1]]);
    }

    power() {
      const x = this.atom();
      if (this.pieces[0]?.sign !== "**") return x;
      this.pieces.shift();
      const way = this.pieces[0]?.sign === "-" ? -1 : 1;
      if (["+", "-"].includes(this.pieces[0]?.sign)) this.pieces.shift();
      const { number } = this.pieces.shift() ?? {};
      if (number === undefined || this.pieces[0]?.sign === "**") throw new Error("An exponent must be a number; for others use exp and log.");
      const n = way * Number(number);
      return this.add(`power ${n}`.replace("-", "−"), x.value ** n, [[x, n ? n * x.value ** (n - 1) : 0]]);
    }

    atom() {
      const { number, name, sign } = this.pieces.shift() ?? {};
      if (number !== undefined) return this.add("number", Number(number));
      if (name && this.pieces[0]?.sign === "(") {
        if (!(name in FUNCTIONS)) throw new Error(`“${name}” is no function here. There are ${Object.keys(FUNCTIONS).join(", ")}.`);
        const x = this.atom();
        const [value, slope] = FUNCTIONS[name];
        const y = value(x.value);
        return this.add(name, y, [[x, slope(x.value, y)]]);
      }
      if (name) {
        if (!this.names.has(name)) throw new Error(`“${name}” has no value yet: set it in a line before, such as ${name} = 2.`);
        return this.names.get(name);
      }
      if (sign !== "(") throw new Error(`Something is missing ${sign ? `before “${sign}”` : "at the end of a line"}.`);
      const inside = this.sum();
      if (this.pieces.shift()?.sign !== ")") throw new Error("A bracket is not closed.");
      return inside;
    }

    // Walks back over the first `steps` nodes, from the result on; which these are is returned.
    walk(steps = Infinity) {
      for (const node of this.nodes) node.slope = 0;
      this.result.slope = 1;
      const reached = new Set([this.result]);
      const order = [...this.nodes].reverse().filter((node) => {
        if (!reached.has(node)) return false;
        for (const [input] of node.inputs) reached.add(input);
        return node.inputs.length;
      });
      this.steps = order.length;
      const done = new Set(order.slice(0, steps));
      for (const node of done) {
        for (const [input, factor] of node.inputs) input.slope += factor * node.slope;
      }
      if (this.nodes.some(({ slope }) => !Number.isFinite(slope))) {
        throw new Error("A slope is no finite number. Look for a division by a number near zero.");
      }
      return done;
    }
  }

  const draw = (tag, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const shown = (value) => {
    const text = value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5)
      ? value.toFixed(3) : value.toExponential(2);
    return text.replace("-", "−").replace("−0.000", "0.000");
  };
  const [ACROSS, DOWN, WIDTH, HEIGHT] = [118, 84, 92, 42];

  // A place for each node: its column is the number of steps to it, an input stands right before its use.
  const placesOf = (nodes) => {
    const column = new Map();
    for (const node of nodes) {
      column.set(node, Math.max(-1, ...node.inputs.map(([input]) => column.get(input))) + 1);
    }
    for (const node of nodes.filter(({ inputs }) => !inputs.length)) {
      const uses = nodes.filter(({ inputs }) => inputs.some(([input]) => input === node));
      if (uses.length) column.set(node, Math.min(...uses.map((use) => column.get(use))) - 1);
    }
    const columns = Array.from({ length: Math.max(...column.values()) + 1 }, (_, i) =>
      nodes.filter((node) => column.get(node) === i));
    const tallest = Math.max(...columns.map(({ length }) => length));
    const places = new Map();
    columns.forEach((some, i) => some.forEach((node, k) => {
      places.set(node, [i * ACROSS + 4, (k + (tallest - some.length) / 2) * DOWN + 4]);
    }));
    return { places, width: (columns.length - 1) * ACROSS + WIDTH + 8, height: tallest * DOWN };
  };

  class FormulaForm extends Form {
    constructor(figure) {
      super(figure);
      const id = `network-${figure.dataset.network}-step`;
      this.back = make("input", { id, type: "range", min: 0, max: 1, step: 1, value: 1 });
      this.shownStep = make("output", { for: id });
      this.back.addEventListener("input", () => this.show());
      this.controls.append(...this.textBox(), button("Differentiate", () => this.ask()));
      this.input.rows = 6;
      this.input.classList.add("network-code");
      this.walkBack = make("div", { class: "network-controls network-walk" },
        make("label", { for: id }, "Steps back ", this.shownStep), this.back);
      this.askWhileTyping();
    }

    get thing() {
      return "form";
    }

    get invitation() {
      return "Or take one of these. The slopes are those that were stored with the page.";
    }

    tryExample(i) {
      return this.ready().then(() => {
        this.typeExample(i);
        return this.ask();
      }, (error) => this.say(error.message));
    }

    take(data) {
      this.data = data;
    }

    typeExample(i) {
      this.input.value = this.data?.examples[i] ?? this.rows[i].cells[0].textContent.replaceAll("; ", "\n");
    }

    // Each name's value and slope: what Python's `differentiate` returns.
    differentiate(text) {
      const graph = new Graph(text);
      graph.walk();
      return Object.fromEntries([...graph.names].map(([name, { value, slope }]) => [name, [value, slope]]));
    }

    answer() {
      clearTimeout(this.pause);
      this.graph = new Graph(this.input.value);
      this.graph.walk();
      this.back.max = this.graph.steps;
      this.back.value = this.graph.steps;
      this.more.replaceChildren(this.walkBack, this.picture = make("div", { class: "network-graph", tabindex: 0, role: "region", "aria-label": "The formula's graph" }));
      this.show();
    }

    show() {
      const { graph } = this;
      const steps = Number(this.back.value);
      const done = graph.walk(steps);
      this.shownStep.textContent = `${steps} of ${graph.steps}`;
      const last = [...graph.names.keys()].at(-1);
      const slopes = [...graph.names].slice(0, -1)
        .flatMap(([name, { slope }], i) => [i ? ", " : "", `${name} `, make("strong", {}, shown(slope))]);
      this.say(`${last} = ${shown(graph.result.value)}`,
        ...(slopes.length ? [steps < graph.steps ? ". Slopes so far: " : ". Slopes: ", ...slopes] : []), ".");
      this.picture.replaceChildren(graph.nodes.length > MOST_DRAWN
        ? make("p", { class: "network-note" }, `The graph has ${count(graph.nodes.length, "node")}; at most ${MOST_DRAWN} are drawn.`)
        : this.drawn(done));
    }

    drawn(done) {
      const { graph } = this;
      const { places, width, height } = placesOf(graph.nodes);
      const lines = graph.nodes.flatMap((node) => node.inputs.map(([input]) => {
        const [[x0, y0], [x1, y1]] = [places.get(input), places.get(node)];
        return draw("path", {
          class: done.has(node) ? "walked" : "",
          d: `M${x0 + WIDTH},${y0 + HEIGHT / 2} C${x0 + ACROSS},${y0 + HEIGHT / 2} ${x1 - ACROSS + WIDTH},${y1 + HEIGHT / 2} ${x1},${y1 + HEIGHT / 2}`,
        });
      }));
      const boxes = graph.nodes.map((node) => {
        const [x, y] = places.get(node);
        const at = (dy, text, name) => draw("text", { x: x + WIDTH / 2, y: y + dy, class: name }, text);
        const head = [node.name, node.sign === "number" ? "" : node.sign].filter(Boolean).join(": ") || "number";
        const parts = [draw("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 6 }),
          at(16, head.length > 13 ? `${head.slice(0, 12)}…` : head, "head"), at(34, shown(node.value), "")];
        if (node.name || node.inputs.length) parts.push(at(HEIGHT + 17, `slope ${shown(node.slope)}`, "slope"));
        return draw("g", {}, ...parts);
      });
      const said = `A graph of ${graph.nodes.length} nodes: values go from left to right, slopes back.`;
      return draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": said }, ...lines, ...boxes);
    }
  }

  return { formula: FormulaForm };
});
