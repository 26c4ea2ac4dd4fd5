"use strict";

// Lets a reader ask the networks and the search of a page. Their weights and passages lie in files of
// this site, which are loaded when a reader first uses a form; what is typed or drawn never leaves the
// page.
(() => {
  const script = document.currentScript;

  // How each layer computes. Texts and pictures are nested or flat arrays of 32-bit numbers, as in
  // Python; weights have the shapes that Keras gives them.

  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const ACTIVATIONS = { linear: (x) => x, relu: (x) => Math.max(x, 0), sigmoid };

  // Adds x · W to the sums, from the row `first` of W on.
  const addProduct = (sums, x, weights, first = 0) => {
    const width = sums.length;
    for (let i = 0; i < x.length; i++) {
      if (!x[i]) continue;
      const row = (first + i) * width;
      for (let j = 0; j < width; j++) sums[j] += x[i] * weights[row + j];
    }
    return sums;
  };

  const product = (x, weights) => addProduct(new Float32Array(weights.shape[1]), x, weights);

  const normed = (x, scale, epsilon) => {
    const square = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    return x.map((value, i) => value / Math.sqrt(square + epsilon) * scale[i]);
  };

  // Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: wrong by 1.5e-7 at most.
  const ERF = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  const erf = (x) => {
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    return Math.sign(x) * (1 - t * ERF.reduce((sum, factor) => sum * t + factor, 0) * Math.exp(-x * x));
  };
  const gelu = (x) => x * (1 + erf(x / Math.SQRT2)) / 2;

  const LAYERS = {
    Embedding: ({ arrays: [table] }) => {
      const [, width] = table.shape;
      const vectors = new Map(); // one object for each number, by which the next layer knows it
      const vectorOf = (id) => {
        if (!vectors.has(id)) vectors.set(id, table.subarray(id * width, (id + 1) * width));
        return vectors.get(id);
      };
      return (ids) => ids.map(vectorOf);
    },

    // Reading starts where the row differs from the one before: a word left out costs little then.
    LSTM: ({ arrays: [kernel, recurrent, bias] }) => {
      const [units] = recurrent.shape;
      const products = new Map();
      const productOf = (x) => {
        if (!products.has(x)) products.set(x, addProduct(bias.slice(), x, kernel));
        return products.get(x);
      };
      const step = (before, x) => {
        const sums = addProduct(productOf(x).slice(), before.hidden, recurrent);
        const [hidden, cell] = [new Float32Array(units), new Float32Array(units)];
        for (let i = 0; i < units; i++) {
          const [input, forget, candidate, output] = [0, 1, 2, 3].map((gate) => sums[gate * units + i]);
          cell[i] = sigmoid(forget) * before.cell[i] + sigmoid(input) * Math.tanh(candidate);
          hidden[i] = sigmoid(output) * Math.tanh(cell[i]);
        }
        return { hidden, cell };
      };
      const states = [{ hidden: new Float32Array(units), cell: new Float32Array(units) }];
      let last = [];
      return (row) => {
        let t = 0;
        while (t < row.length && row[t] === last[t]) t++;
        for (; t < row.length; t++) states[t + 1] = step(states[t], row[t]);
        last = row;
        return states[row.length].hidden;
      };
    },

    Dense: ({ arrays: [kernel, bias], activation }) => (x) =>
      addProduct(bias.slice(), x, kernel).map(ACTIVATIONS[activation]),

    // A picture is {height, width, values}, channel after channel of one pixel after the other.
    Conv2D: ({ arrays: [kernel, bias], activation, strides }) => {
      const [rows, columns, channels] = kernel.shape;
      const before = (size, out, stride, reach) => Math.max((out - 1) * stride + reach - size, 0) >> 1;
      return ({ height, width, values }) => {
        const [down, right] = [Math.ceil(height / strides[0]), Math.ceil(width / strides[1])];
        const top = before(height, down, strides[0], rows);
        const left = before(width, right, strides[1], columns);
        const result = new Float32Array(down * right * bias.length);
        const sumAt = (i, j) => {
          const sums = bias.slice();
          for (let a = 0; a < rows; a++) {
            for (let b = 0; b < columns; b++) {
              const [y, x] = [i * strides[0] + a - top, j * strides[1] + b - left];
              if (y < 0 || x < 0 || y >= height || x >= width) continue;
              const start = (y * width + x) * channels;
              addProduct(sums, values.subarray(start, start + channels), kernel, (a * columns + b) * channels);
            }
          }
          return sums.map(ACTIVATIONS[activation]);
        };
        for (let i = 0; i < down; i++) {
          for (let j = 0; j < right; j++) result.set(sumAt(i, j), (i * right + j) * bias.length);
        }
        return { height: down, width: right, values: result };
      };
    },

    // A row of vectors, each of which reads those before it. What stayed the same at the row's start
    // is not computed again: its keys and values are kept.
    DecoderBlock: ({ arrays: [attentionNorm, together, output, norm, up, down], heads, base, epsilon }) => {
      const [, width] = output.shape;
      const size = width / heads;
      const shared = heads / ((together.shape[1] / size - heads) / 2); // heads for each key
      const half = size / 2;
      const kept = { inputs: [], outputs: [], keys: [], values: [], turns: [] };
      const turnsAt = (place) => kept.turns[place] ??= Array.from({ length: half }, (_, i) => {
        const angle = place * base ** (-i / half);
        return [Math.cos(angle), Math.sin(angle)];
      });
      // Pairs of numbers, the i-th of each half of a head, turned by an angle that grows with the place.
      const turned = (vector, place) => {
        const result = vector.slice();
        const turns = turnsAt(place);
        for (let first = 0; first < vector.length; first += size) {
          for (let i = 0; i < half; i++) {
            const [cos, sin] = turns[i];
            const [a, b] = [vector[first + i], vector[first + half + i]];
            result[first + i] = a * cos - b * sin;
            result[first + half + i] = b * cos + a * sin;
          }
        }
        return result;
      };
      const attend = (query, place) => {
        const result = new Float32Array(width);
        for (let head = 0; head < heads; head++) {
          const [from, other] = [head * size, Math.floor(head / shared) * size];
          const scores = kept.keys.slice(0, place + 1).map((key) => {
            let sum = 0;
            for (let i = 0; i < size; i++) sum += query[from + i] * key[other + i];
            return sum / Math.sqrt(size);
          });
          LAYERS.Softmax()(scores).forEach((share, t) => {
            for (let i = 0; i < size; i++) result[from + i] += share * kept.values[t][other + i];
          });
        }
        return result;
      };
      const step = (x, place) => {
        const all = product(normed(x, attentionNorm, epsilon), together);
        const keys = (together.shape[1] - width) / 2;
        kept.keys[place] = turned(all.slice(width, width + keys), place);
        kept.values[place] = all.slice(width + keys);
        const read = addProduct(x.slice(), attend(turned(all.slice(0, width), place), place), output);
        return addProduct(read.slice(), product(normed(read, norm, epsilon), up).map(gelu), down);
      };
      return (row) => {
        let t = 0;
        while (t < row.length && row[t] === kept.inputs[t]) t++;
        for (; t < row.length; t++) kept.outputs[t] = step(row[t], t);
        kept.inputs = row;
        return kept.outputs.slice(0, row.length);
      };
    },

    RMSNormalization: ({ arrays: [scale], epsilon }) => (row) => row.map((x) => normed(x, scale, epsilon)),

    // Only the last place is asked what comes next, by the table that made the first vectors.
    LastLogits: ({ arrays: [table] }) => (row) => {
      const [ids, width] = table.shape;
      const last = row.at(-1);
      return Float32Array.from({ length: ids }, (_, id) => {
        let sum = 0;
        for (let i = 0; i < width; i++) sum += last[i] * table[id * width + i];
        return sum;
      });
    },

    Flatten: () => ({ values }) => values,

    Softmax: () => (x) => {
      const most = Math.max(...x);
      const powers = x.map((value) => Math.exp(value - most));
      const sum = powers.reduce((a, b) => a + b);
      return powers.map((value) => value / sum);
    },
  };

  // base64 → numbers from 0 to 255
  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  // The network as a function from an input to its answers.
  const build = (data) => {
    const bytes = bytesOf(data.weights);
    if (bytes.length !== data.bytes) throw new Error("The network's file is not whole.");
    const floats = (start, size) => new Float32Array(bytes.buffer.slice(start, start + 4 * size));
    // A bias lies there as it is, a table as one byte a weight and then one scale a column.
    const arrayOf = ({ shape, start }) => {
      const width = shape.at(-1);
      const size = shape.reduce((a, b) => a * b, 1);
      if (shape.length === 1) return Object.assign(floats(start, size), { shape });
      const scales = floats(start + size, width);
      const codes = new Int8Array(bytes.buffer, start, size);
      return Object.assign(Float32Array.from(codes, (code, i) => code * scales[i % width]), { shape });
    };
    const layers = data.layers.map((layer) =>
      LAYERS[layer.kind]({ ...layer, arrays: layer.arrays.map(arrayOf) }));
    return (input) => layers.reduce((x, layer) => layer(x), input);
  };

  // Files. A page opened from a disk may read no neighbour but a script.

  const arrived = new Map();
  window.courseNetwork = (name, data) => arrived.set(name, data);

  const load = (name, address, thing) => new Promise((resolve, reject) => {
    const tag = document.createElement("script");
    tag.src = new URL(address, script.src).href;
    tag.onload = () => arrived.has(name) ? resolve(arrived.get(name)) : tag.onerror();
    tag.onerror = () => {
      tag.remove();
      reject(new Error(`The ${thing}'s file did not load. Check the connection and try again.`));
    };
    document.head.append(tag);
  });

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const button = (text, act) => {
    const element = make("button", { type: "button" }, text);
    element.addEventListener("click", act);
    return element;
  };
  const count = (number, one, more = `${one}s`) =>
    `${number.toLocaleString("en-GB")} ${number === 1 ? one : more}`;

  // A form in its figure. What it asks is the business of the kinds below.
  class Form {
    constructor(figure) {
      this.figure = figure;
      this.result = make("div", { class: "network-result", "aria-live": "polite" });
      this.more = make("div", { class: "network-more" });
      this.table = figure.querySelector(".network-examples");
      this.controls = make("div", { class: "network-controls" });
      this.table.before(
        make("div", { class: `network-desk ${figure.dataset.kind}` },
          this.controls, make("div", { class: "network-answer" }, this.result, this.more)),
        make("p", { class: "network-try" }, this.invitation));
      this.rows = [...this.table.tBodies[0].rows];
      this.rows.forEach(({ cells: [cell] }, i) => {
        cell.replaceChildren(button(cell.textContent, async () => {
          await this.tryExample(i);
          this.result.scrollIntoView({ block: "center" }); // on a phone it is far above
        }));
      });
      this.controls.addEventListener("focusin", () => this.ready().catch(() => {}), { once: true });
    }

    get thing() {
      return "network";
    }

    take(data) {
      this.data = data;
      this.network = build(data);
    }

    // The network, loaded at the first need; after a failure the next need tries again.
    ready() {
      const { network, source } = this.figure.dataset;
      this.loading ??= load(network, source, this.thing).then((data) => this.take(data)).catch((error) => {
        this.loading = undefined;
        throw error;
      });
      return this.loading;
    }

    async ask() {
      const waits = setTimeout(() => this.say(`The ${this.thing} is being loaded …`), 200);
      try {
        await this.ready();
        await this.answer();
        this.figure.dataset.asked = Number(this.figure.dataset.asked ?? 0) + 1;
      } catch (error) {
        this.more.replaceChildren();
        this.say(error.message);
      } finally {
        clearTimeout(waits);
      }
    }

    // A box for a text, with its label; the first example stands in it.
    textBox() {
      const id = `network-${this.figure.dataset.network}`;
      this.input = make("textarea", { id, rows: 3, spellcheck: "false" });
      this.typeExample(0);
      return [make("label", { for: id }, this.table.tHead.rows[0].cells[0].textContent), this.input];
    }

    typeExample(i) {
      this.input.value = this.data?.examples[i] ?? this.rows[i].cells[0].textContent;
    }

    askWhileTyping() {
      this.input.addEventListener("input", () => {
        clearTimeout(this.pause);
        this.pause = setTimeout(() => this.ask(), 400);
      });
    }

    say(...parts) {
      this.result.replaceChildren(make("p", {}, ...parts));
    }
  }

  const SEPARATORS = /[^!"#$%&()*+,\-./:;<=>?@[\\\]^_`{|}~\t\n ]+/g; // as Keras' Tokenizer has them
  const MOST_SHOWN = 200; // pieces of a text
  const LONGEST_SHOWN = 40; // letters of a piece

  class WordsForm extends Form {
    constructor(figure) {
      super(figure);
      this.controls.append(...this.textBox(), button("Ask the network", () => this.ask()));
      this.askWhileTyping();
    }

    get invitation() {
      return "Or ask it one of these. The probabilities are those that were stored with the page.";
    }

    tryExample(i) {
      this.typeExample(i);
      return this.ask();
    }

    // The text's pieces, each with its number, or none where the network does not know it.
    read(text) {
      this.ids ??= new Map(this.data.words.map((word, i) => [word, i + 1]));
      return (text.match(SEPARATORS) ?? []).map((piece) => ({ piece, id: this.ids.get(piece.toLowerCase()) }));
    }

    probability(ids) {
      const row = [...Array(this.data.length).fill(0), ...ids].slice(-this.data.length);
      return this.network(row)[0];
    }

    answer() {
      const pieces = this.read(this.input.value);
      const known = pieces.filter(({ id }) => id).slice(-this.data.length - 1);
      const kept = known.slice(-this.data.length); // where one is left out, the one before moves up
      const p = this.probability(known.map(({ id }) => id));
      this.more.replaceChildren();
      if (!pieces.length) return this.say("There is no word to read: type a review first.");
      if (!known.length) {
        return this.say(
          `The network knows none of these words. It has learned ${count(this.data.words.length, "English word")} `
          + `from reviews of food, and its answer to an empty row would be ${p.toFixed(2)}. Try a review in English.`);
      }
      const [no, yes] = this.data.classes;
      this.say(
        "The network says ", make("strong", {}, p >= 0.5 ? yes : no),
        `: it gives “${yes}” a probability of `, make("strong", {}, p.toFixed(2)), ".",
        make("span", { class: "network-bar", style: `--share: ${p}`, "aria-hidden": "true" }));
      // from the last word to the first: the more of the row stays, the less is computed
      for (const one of [...kept].reverse()) {
        one.without = this.probability(known.filter((other) => other !== one).map(({ id }) => id));
        one.effect = p - one.without;
      }
      this.explain(pieces, kept, p);
    }

    explain(pieces, kept, p) {
      const isCut = kept.length < pieces.filter(({ id }) => id).length;
      const first = Math.max(isCut ? pieces.indexOf(kept[0]) : 0, pieces.length - MOST_SHOWN);
      const shown = pieces.slice(first);
      const most = Math.max(...kept.map(({ effect }) => Math.abs(effect)), 0.05);
      const words = shown.flatMap((one) => [this.colour(one, most), " "]);
      if (first) words.unshift(`(${count(first, "word")} before) … `);
      const strongest = [...kept].sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect)).slice(0, 3);
      const said = strongest.map(({ piece, without }) => `“${cut(piece)}” gives ${without.toFixed(2)}`);
      const notes = [`Left out of the text, ${said.join(", ")} instead of ${p.toFixed(2)}.`];
      const unknown = shown.filter(({ id }) => !id).length;
      if (unknown) notes.push(`Crossed out: ${count(unknown, "word")} that it does not know, and so never sees.`);
      if (isCut) notes.push(`Only the last ${this.data.length} words that it knows are read.`);
      this.more.append(
        make("p", { class: "network-words" }, ...words),
        make("p", { class: "network-note" }, notes.join(" ")), this.legend());
    }

    legend() {
      const [no, yes] = this.data.classes;
      return make("p", { class: "network-note" },
        make("span", { class: "network-word for" }, `speaks for “${yes}”`), " ",
        make("span", { class: "network-word against" }, `speaks for “${no}”`),
        " A word is the stronger coloured, the more the probability changes when it is left out.");
    }

    colour({ piece, id, effect }, most) {
      if (!id) return make("del", {}, cut(piece));
      if (effect === undefined) return make("span", {}, cut(piece));
      const strength = Math.abs(effect) / most;
      const side = strength < 0.05 ? "" : effect > 0 ? " for" : " against";
      return make("span", { class: `network-word${side}`, style: `--strength: ${strength.toFixed(2)}` }, cut(piece));
    }
  }
  const cut = (piece) => piece.length > LONGEST_SHOWN ? `${piece.slice(0, LONGEST_SHOWN)}…` : piece;

  const DRAWING = 280; // pixels of its side, and as CSS shows it where there is room
  const PEN = { lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: "#1d2733" };
  const BOX = 20 / 28; // of a picture's side, into which the digits of the collection were fitted
  const SAMPLES = 5; // points a pixel in each direction

  class PictureForm extends Form {
    constructor(figure) {
      super(figure);
      const text = this.table.tHead.rows[0].cells[0].textContent;
      this.canvas = make("canvas", {
        width: DRAWING, height: DRAWING, role: "img",
        "aria-label": `${text}: draw here with a mouse, a pen or a finger, or choose a stored picture below.`,
      });
      this.pen = Object.assign(this.canvas.getContext("2d", { willReadFrequently: true }), PEN);
      this.controls.append(make("p", { "aria-hidden": "true" }, text), this.canvas,
        button("Clear", () => this.clear()));
      const at = ({ clientX, clientY }) => {
        const { left, top, width } = this.canvas.getBoundingClientRect();
        return [(clientX - left) * DRAWING / width, (clientY - top) * DRAWING / width];
      };
      this.canvas.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        event.preventDefault();
        this.canvas.setPointerCapture(event.pointerId);
        if (this.stored) this.wipe();
        this.ready().catch(() => {});
        this.pen.beginPath();
        this.pen.moveTo(...at(event));
        this.pen.lineTo(...at(event)); // a dot
        this.pen.stroke();
        this.draws = true;
      });
      this.canvas.addEventListener("pointermove", (event) => {
        if (!this.draws) return;
        this.pen.lineTo(...at(event));
        this.pen.stroke();
      });
      for (const end of ["pointerup", "pointercancel"]) {
        this.canvas.addEventListener(end, () => {
          if (this.draws) this.ask();
          this.draws = false;
        });
      }
    }

    get invitation() {
      return "Or let it read one of these. The answers are those that were stored with the page.";
    }

    wipe() {
      this.stored = undefined;
      this.pen.clearRect(0, 0, DRAWING, DRAWING);
    }

    clear() {
      this.wipe();
      this.more.replaceChildren();
      this.result.replaceChildren();
    }

    async tryExample(i) {
      this.wipe();
      await this.ready().then(() => {
        const [height, width] = this.data.shape;
        const size = height * width;
        this.stored = Float32Array.from(
          bytesOf(this.data.pictures).subarray(i * size, (i + 1) * size), (byte) => byte / 255);
        paint(this.pen, this.stored, width, height, DRAWING);
      }).catch(() => {});
      return this.ask();
    }

    // The drawing as the collection's digits were prepared: fitted into a box, its weight in the middle.
    scan() {
      const { data } = this.pen.getImageData(0, 0, DRAWING, DRAWING);
      const ink = (x, y) => x >= 0 && y >= 0 && x < DRAWING && y < DRAWING
        ? data[4 * (Math.floor(y) * DRAWING + Math.floor(x)) + 3] / 255 : 0;
      let [left, right, top, bottom, sum, sumX, sumY] = [DRAWING, -1, DRAWING, -1, 0, 0, 0];
      for (let y = 0; y < DRAWING; y++) {
        for (let x = 0; x < DRAWING; x++) {
          const dark = ink(x, y);
          if (!dark) continue;
          [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
          [sum, sumX, sumY] = [sum + dark, sumX + dark * (x + 0.5), sumY + dark * (y + 0.5)];
        }
      }
      if (!sum) return undefined;
      const [height, width] = this.data.shape;
      const pixel = Math.max(right - left + 1, bottom - top + 1) / (BOX * height); // in the drawing
      return Float32Array.from({ length: height * width }, (_, n) => {
        let dark = 0;
        for (let k = 0; k < SAMPLES ** 2; k++) {
          const down = Math.floor(n / width) - height / 2 + (Math.floor(k / SAMPLES) + 0.5) / SAMPLES;
          const across = n % width - width / 2 + (k % SAMPLES + 0.5) / SAMPLES;
          dark += ink(sumX / sum + across * pixel, sumY / sum + down * pixel);
        }
        return dark / SAMPLES ** 2;
      });
    }

    probabilities(values) {
      const [height, width] = this.data.shape;
      return [...this.network({ height, width, values })];
    }

    answer() {
      const values = this.stored ?? this.scan();
      this.more.replaceChildren();
      if (!values) return this.say("There is nothing to read: draw a digit first, or choose one below.");
      const shares = this.probabilities(values);
      const best = shares.indexOf(Math.max(...shares));
      this.say("The network reads a ", make("strong", {}, String(best)), ", with a probability of ",
        make("strong", {}, shares[best].toFixed(2)), ".");
      const [height, width] = this.data.shape;
      const seen = make("canvas", { width, height, role: "img", "aria-label": `The same, in ${height} by ${width} pixels` });
      paint(seen.getContext("2d"), values, width, height, width);
      this.more.append(
        make("ul", { class: "network-shares" }, ...shares.map((share, digit) => make("li", digit === best ? { class: "best" } : {},
          make("span", {}, String(digit)),
          make("span", { class: "network-bar", style: `--share: ${share}`, "aria-hidden": "true" }),
          make("span", {}, share.toFixed(2))))),
        make("p", { class: "network-seen network-note" }, seen, "What the network sees"));
    }
  }

  const paint = (pen, values, width, height, size) => {
    const side = size / width;
    values.forEach((value, n) => {
      if (!value) return;
      pen.fillStyle = `rgb(29 39 51 / ${value})`;
      pen.fillRect((n % width) * side, Math.floor(n / width) * side, side, side);
    });
  };

  // A word takes the space before it along, as in Python's BytePairTokenizer.
  const BLANK = "\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
  const LETTER = "\\p{L}\\p{N}_";
  const TEXT_WORDS = new RegExp(` ?[${LETTER}]{1,24}| ?[^${LETTER}${BLANK}]{1,24}|[${BLANK}]{1,24}`, "gu");
  const BYTES = 256;
  const LONGEST_PIECE = 97; // bytes: a space and 24 characters
  const WRITTEN = 60; // tokens at a time
  const LIKELIEST = 5;
  const LONGEST_START = 400; // characters of what a reader typed that stand before the answer
  const pause = () => new Promise((done) => setTimeout(done));

  class TextForm extends Form {
    constructor(figure) {
      super(figure);
      const id = `network-${figure.dataset.network}-heat`;
      this.heat = make("input", { id, type: "range", min: 0, max: 1.5, step: 0.1, value: 0.7 });
      this.shown = make("output", { for: id });
      this.heat.addEventListener("input", () => this.setHeat(this.heat.value));
      this.setHeat(0.7);
      this.controls.append(
        ...this.textBox(), make("label", { for: id }, "Temperature ", this.shown), this.heat,
        button("Write on", () => this.ask()));
    }

    get invitation() {
      return "Or let it go on from one of these, at temperature 0. The probabilities are those that were stored with the page.";
    }

    setHeat(value) {
      this.heat.value = value;
      this.shown.textContent = Number(value).toFixed(1);
    }

    tryExample(i) {
      this.typeExample(i);
      this.setHeat(0);
      return this.ask();
    }

    // The ids of a text's last tokens, as many as the network reads.
    read(text) {
      this.made ??= new Map(this.data.merges.map((pair, i) => [pair.join(), BYTES + i]));
      const end = text.slice(-this.data.length * LONGEST_PIECE);
      const words = end.match(TEXT_WORDS) ?? [];
      return words.slice(-this.data.length).flatMap((word) => this.cut(word)).slice(-this.data.length);
    }

    cut(word) {
      const ids = [...new TextEncoder().encode(word)];
      for (;;) {
        const made = ids.slice(1).map((right, i) => this.made.get(`${ids[i]},${right}`) ?? Infinity);
        const first = Math.min(...made); // the merge that was learnt first is made first
        if (first === Infinity || !made.length) return ids;
        for (let i = 0; i < ids.length - 1; i++) {
          if (this.made.get(`${ids[i]},${ids[i + 1]}`) === first) ids.splice(i, 2, first);
        }
      }
    }

    bytesOf(id) {
      if (id < BYTES) return [id];
      const pair = this.data.merges[id - BYTES];
      return pair ? pair.flatMap((part) => this.bytesOf(part)) : [];
    }

    textOf(ids) {
      return new TextDecoder().decode(Uint8Array.from(ids.flatMap((id) => this.bytesOf(id))));
    }

    probabilities(ids) {
      return [...this.network(ids.slice(-this.data.length))];
    }

    // Draws the next token: at temperature 0 the likeliest, above it by chance.
    next(shares, temperature) {
      if (!temperature) return shares.indexOf(Math.max(...shares));
      const weights = shares.map((share) => share ** (1 / temperature));
      let left = Math.random() * weights.reduce((a, b) => a + b);
      return Math.max(weights.findIndex((weight) => (left -= weight) < 0), 0);
    }

    async answer() {
      this.more.replaceChildren();
      const text = this.input.value;
      if (!text.trim()) return this.say("There is nothing to go on from: type the start of a line first.");
      const [ids, temperature, written] = [this.read(text), Number(this.heat.value), []];
      const turn = this.turn = (this.turn ?? 0) + 1;
      const first = this.probabilities(ids);
      while (written.length < WRITTEN) {
        const shares = written.length ? this.probabilities(ids) : first;
        const id = this.next(shares, temperature);
        if (id === this.data.merges.length + BYTES) break; // the end of a text
        written.push(id);
        ids.push(id);
        // One token more would move all others: half of the row goes, so that this comes seldom.
        if (ids.length > this.data.length) ids.splice(0, this.data.length / 2);
        if (written.length % 8) continue;
        await pause();
        if (turn !== this.turn) return undefined; // asked again
      }
      const start = text.length > LONGEST_START ? `… ${text.slice(-LONGEST_START)}` : text;
      this.result.replaceChildren(make("p", { class: "network-writing" }, start, make("mark", {}, this.textOf(written))));
      return this.explain(first);
    }

    explain(shares) {
      const best = shares.map((share, id) => ({ share, id }))
        .sort((a, b) => b.share - a.share || a.id - b.id).slice(0, LIKELIEST);
      this.more.append(
        make("p", { class: "network-note" }, "What it held likeliest to come first, at temperature 1:"),
        make("ul", { class: "network-shares" }, ...best.map(({ share, id }) => make("li", {},
          make("span", { class: "network-piece" }, JSON.stringify(this.textOf([id]))),
          make("span", { class: "network-bar", style: `--share: ${share}`, "aria-hidden": "true" }),
          make("span", {}, share.toFixed(2))))));
    }
  }

  // A search by BM25, as Python's Retriever("words") has it.

  const SEARCHED = /[\p{L}\p{N}]+/gu;
  const [SATURATION, LENGTH] = [1.5, 0.75];
  const FOUND = 5; // passages
  const LONGEST_PASSAGE = 500; // characters
  const RARE = 0.1; // of the passages may hold a word that is marked, so that no “the” is
  const MOST_NAMED = 5; // words that are not in the course
  const wordsOf = (text) => text.toLowerCase().match(SEARCHED) ?? [];

  // Passages as a function from words to their scores, and in how many of them a word stands.
  const rank = (texts) => {
    const postings = new Map(); // for each word, the passages that hold it, each with how often
    const lengths = texts.map((text, place) => {
      const words = wordsOf(text);
      for (const word of words) {
        if (!postings.has(word)) postings.set(word, new Map());
        const held = postings.get(word);
        held.set(place, (held.get(place) ?? 0) + 1);
      }
      return words.length;
    });
    const mean = Math.max(lengths.reduce((a, b) => a + b, 0) / texts.length, 1);
    const shortness = lengths.map((length) => SATURATION * (1 - LENGTH + LENGTH * length / mean));
    const scores = (words) => {
      const sums = new Float64Array(texts.length);
      const counts = new Map();
      for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
      for (const [word, count] of counts) {
        const held = postings.get(word) ?? new Map();
        const rarity = Math.log(1 + (texts.length - held.size + 0.5) / (held.size + 0.5));
        for (const [place, often] of held) sums[place] += count * rarity * often / (often + shortness[place]);
      }
      return sums;
    };
    const share = (word) => (postings.get(word)?.size ?? 0) / texts.length; // of the passages hold it
    return { scores, share };
  };

  class SearchForm extends Form {
    constructor(figure) {
      super(figure);
      this.controls.append(...this.textBox(), button("Search the course", () => this.ask()));
      this.input.rows = 2;
      this.askWhileTyping();
      this.input.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        this.ask();
      });
    }

    get thing() {
      return "index";
    }

    get invitation() {
      return "Or ask one of these. The passages named here are those that were stored with the page.";
    }

    tryExample(i) {
      this.typeExample(i);
      return this.ask();
    }

    take(data) {
      this.data = data;
      this.index = rank(data.passages.map(([section, text]) => {
        const [, title, heading] = data.sections[section];
        const parts = data.headings ? [title, heading, text] : [text];
        return [...new Set(parts.filter(Boolean))].join(". ");
      }));
    }

    // All passages that share a word with a question, the best first; of equal ones the earlier.
    find(question) {
      return Array.from(this.index.scores(wordsOf(question)), (score, place) => ({ score, place }))
        .filter(({ score }) => score > 0)
        .sort((a, b) => b.score - a.score || a.place - b.place);
    }

    answer() {
      clearTimeout(this.pause);
      this.more.replaceChildren();
      const words = new Set(wordsOf(this.input.value));
      if (!words.size) return this.say("There is no word to search for: type a question first.");
      const found = this.find(this.input.value);
      if (!found.length) {
        return this.say("Nothing in the course has these words. Its pages are in English; try other words for the same thing.");
      }
      const missing = [...words].filter((word) => !this.index.share(word));
      this.say(`${count(found.length, "passage")} of ${this.data.passages.length.toLocaleString("en-GB")} `
        + `${found.length === 1 ? "shares" : "share"} a word with the question. `
        + (found.length > FOUND ? "These have the highest scores." : ""));
      if (missing.length) {
        const named = missing.slice(0, MOST_NAMED).map((word) => `“${cut(word)}”`).join(", ");
        const rest = missing.length - MOST_NAMED;
        this.result.append(make("p", { class: "network-note" },
          `Not in the course: ${named}${rest > 0 ? ` and ${count(rest, "other word")}` : ""}.`));
      }
      const marked = new Set([...words].filter((word) => this.index.share(word) <= RARE));
      this.more.append(make("ol", { class: "network-found" },
        ...found.slice(0, FOUND).map((one) => this.passage(one, marked))));
      window.MathJax?.typesetPromise?.([this.more]);
      return undefined;
    }

    passage({ score, place }, marked) {
      const [section, text] = this.data.passages[place];
      const [page, title, heading, anchor] = this.data.sections[section];
      const address = new URL(`../book/${page}.html`, script.src);
      if (anchor) address.hash = anchor;
      const name = [...new Set([title, heading].filter(Boolean))].join(" › ");
      const end = text.length > LONGEST_PASSAGE ? text.lastIndexOf(" ", LONGEST_PASSAGE) : text.length;
      return make("li", {},
        make("a", { href: address.href }, name),
        make("span", { class: "network-note" }, ` score ${score.toFixed(2)}`),
        make("p", {}, ...written(text.slice(0, end), marked), end < text.length ? " …" : ""));
    }
  }

  // A passage's text with its formulas and code; rare words that were asked for are marked.
  const written = (text, marked) => text.split(/(\$\$[^$]+\$\$|\$[^$]+\$|`[^`]+`)/).flatMap((part, i) => {
    if (i % 2 && part[0] === "`") return make("code", {}, part.slice(1, -1));
    if (i % 2) return make("span", { class: "math" }, `\\(${part.replace(/^\$+|\$+$/g, "")}\\)`);
    return part.split(/([\p{L}\p{N}]+)/u).map((piece, k) =>
      k % 2 && marked.has(piece.toLowerCase()) ? make("mark", {}, piece) : piece);
  });

  const KINDS = {
    words: WordsForm, picture: PictureForm, text: TextForm, search: SearchForm,
  };
  // Those of formula.js and speech.js, where a page has them.
  const tools = { Form, LAYERS, addProduct, gelu, bytesOf, make, button, count };
  for (const formsOf of window.courseForms ?? []) Object.assign(KINDS, formsOf(tools));
  for (const figure of document.querySelectorAll("figure.network[data-source]")) {
    figure.form = new KINDS[figure.dataset.kind](figure);
  }
})();
