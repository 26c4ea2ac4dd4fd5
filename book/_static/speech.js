"use strict";

// Writes down a recording as companion.serving.WebRecognizer does in Python. network.js asks for the form
// that is made here. What a reader records or chooses is heard in the page and is sent nowhere.
(window.courseForms ??= []).push(({ Form, LAYERS, addProduct, gelu, bytesOf, make, button }) => {
  const [RATE, WINDOW, HOP] = [16_000, 400, 160]; // samples: a second, in a piece, between pieces
  const SHORTEST = 0.1; // seconds
  const SILENT = 1e-3; // of the loudest that a sample can be
  const MOST_BYTES = 20e6; // of a file

  // The spectrogram, as companion.preprocessing.log_mel has it.

  // Each band's triangle of frequencies. Slaney's mel scale is linear up to 1,000 Hz.
  const filtersOf = (bands) => {
    const [corner, step] = [15, Math.log(6.4) / 27];
    const hertz = (mel) => mel < corner ? mel * 200 / 3 : 1000 * Math.exp(step * (mel - corner));
    const top = corner + Math.log(RATE / 2000) / step;
    const edges = Array.from({ length: bands + 2 }, (_, i) => hertz(i * top / (bands + 1)));
    return Array.from({ length: bands }, (_, band) => {
      const [low, middle, high] = edges.slice(band, band + 3);
      return Float64Array.from({ length: WINDOW / 2 + 1 }, (_, k) => {
        const at = k * RATE / WINDOW;
        return Math.max(0, Math.min((at - low) / (middle - low), (high - at) / (high - middle))) * 2 / (high - low);
      });
    });
  };

  const turn = (wave) => Float64Array.from({ length: WINDOW }, (_, i) => wave(2 * Math.PI * i / WINDOW));
  const [COS, SIN] = [turn(Math.cos), turn(Math.sin)];
  const HANN = COS.map((value) => 0.5 - 0.5 * value);

  const powersOf = (piece) => Float64Array.from({ length: WINDOW / 2 + 1 }, (_, k) => {
    let [real, imaginary] = [0, 0];
    for (let i = 0, angle = 0; i < WINDOW; i++, angle = (angle + k) % WINDOW) {
      real += piece[i] * COS[angle];
      imaginary += piece[i] * SIN[angle];
    }
    return real ** 2 + imaginary ** 2;
  });

  const logMel = (sound, filters) => {
    const last = sound.length - 1;
    const sampleAt = (n) => { // before the first and after the last it goes back
      const place = last ? ((n % (2 * last)) + 2 * last) % (2 * last) : 0;
      return sound[Math.min(place, 2 * last - place)];
    };
    return Array.from({ length: Math.ceil(sound.length / HOP) }, (_, t) => {
      const powers = powersOf(HANN.map((share, i) => share * sampleAt(t * HOP - WINDOW / 2 + i)));
      return filters.map((filter) => {
        const sum = filter.reduce((all, share, k) => all + share * powers[k], 0);
        return Math.fround(Math.log10(Math.max(sum, 1e-10)));
      });
    });
  };

  // The network's layers. A sound is a list of steps, each a row of numbers.

  const normalised = (x, scale, shift, epsilon) => {
    const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
    const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
    return x.map((value, i) => (value - mean) / Math.sqrt(variance + epsilon) * scale[i] + shift[i]);
  };

  const convolved = (steps, kernel, bias, strides, dilation) => {
    const [reach, channels] = kernel.shape;
    const length = Math.ceil(steps.length / strides);
    const seen = (length - 1) * strides + (reach - 1) * dilation + 1;
    const before = Math.max(seen - steps.length, 0) >> 1;
    return Array.from({ length }, (_, t) => {
      const sums = bias.slice();
      for (let k = 0; k < reach; k++) {
        const row = steps[t * strides + k * dilation - before];
        if (row) addProduct(sums, row, kernel, k * channels);
      }
      return sums.map(gelu);
    });
  };

  Object.assign(LAYERS, {
    Conv1D: ({ arrays: [kernel, bias], strides, dilation }) => (steps) =>
      convolved(steps, kernel, bias, strides, dilation),

    ResidualConv1D: ({ arrays: [scale, shift, kernel, bias], epsilon, strides, dilation }) => (steps) => {
      const rows = steps.map((x) => normalised(x, scale, shift, epsilon));
      return convolved(rows, kernel, bias, strides, dilation).map((sums, t) => sums.map((sum, i) => sum + steps[t][i]));
    },

    StepShares: ({ arrays: [scale, shift, kernel, bias], epsilon }) => (steps) => steps.map((x) =>
      LAYERS.Softmax()(addProduct(bias.slice(), normalised(x, scale, shift, epsilon), kernel))),
  });

  // A file's sound: one channel, at the rate of the network.
  const decoded = async (bytes) => {
    let audio;
    try {
      audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes);
    } catch {
      throw new Error("This browser cannot read the file as a sound. Try a WAV or an MP3 file.");
    }
    const sound = new Float32Array(audio.length);
    for (let channel = 0; channel < audio.numberOfChannels; channel++) {
      audio.getChannelData(channel).forEach((value, i) => { sound[i] += value / audio.numberOfChannels; });
    }
    return sound;
  };

  const readFile = async (file) => {
    if (!file) throw new Error("There is nothing to hear yet: choose a recording, or play one of those below.");
    if (!file.size) throw new Error("The file is empty. Choose another recording.");
    if (file.size > MOST_BYTES) {
      throw new Error(`The file has ${(file.size / 1e6).toFixed(0)} MB, and at most ${MOST_BYTES / 1e6} are read. Cut the recording first.`);
    }
    return decoded(await file.arrayBuffer());
  };

  class SpeechForm extends Form {
    constructor(figure) {
      super(figure);
      const id = `network-${figure.dataset.network}`;
      this.file = make("input", { id, type: "file", accept: "audio/*" });
      this.file.addEventListener("change", () => this.hear(() => readFile(this.file.files[0])));
      this.controls.append(make("label", { for: id }, this.table.tHead.rows[0].cells[0].textContent), this.file);
      if (navigator.mediaDevices?.getUserMedia && window.MediaRecorder) {
        this.recordButton = button("Record", () => this.recorder ? this.recorder.stop() : this.record());
        this.controls.append(this.recordButton);
      }
    }

    get invitation() {
      return "Or play one of these. Beside each stands what was stored with the page.";
    }

    get longest() {
      return this.data.frames * HOP / RATE; // seconds
    }

    take(data) {
      super.take(data);
      this.filters = filtersOf(data.bands);
    }

    // Asks about a sound that a function gives.
    hear(source) {
      this.source = source;
      return this.ask();
    }

    tryExample(i) {
      return this.hear(() => {
        const sound = this.example(i);
        this.play(sound);
        return sound;
      });
    }

    example(i) {
      const view = new DataView(bytesOf(this.data.sounds[i]).buffer);
      return Float32Array.from({ length: view.byteLength / 2 }, (_, n) => view.getInt16(2 * n, true) / 32_768);
    }

    play(sound) {
      this.player ??= new AudioContext();
      this.playing?.stop();
      const buffer = this.player.createBuffer(1, sound.length, RATE);
      buffer.copyToChannel(sound, 0);
      this.playing = Object.assign(this.player.createBufferSource(), { buffer });
      this.playing.connect(this.player.destination);
      this.playing.start();
    }

    // Records as long as the network can hear, or until the button is pressed again.
    async record() {
      let stream;
      try {
        await this.ready();
        stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      } catch (error) {
        this.more.replaceChildren();
        return this.say(error instanceof DOMException
          ? "The browser gives no microphone to this page. Allow it, or choose a file." : error.message);
      }
      const pieces = [];
      this.recorder = new MediaRecorder(stream);
      this.recorder.addEventListener("dataavailable", ({ data }) => pieces.push(data));
      this.recorder.addEventListener("stop", () => {
        clearTimeout(this.end);
        stream.getTracks().forEach((track) => track.stop());
        this.recorder = undefined;
        this.recordButton.textContent = "Record";
        this.hear(() => readFile(new Blob(pieces)));
      });
      this.recorder.start();
      this.end = setTimeout(() => this.recorder?.stop(), 1000 * this.longest);
      this.recordButton.textContent = "Stop";
      this.more.replaceChildren();
      return this.say(`Speak now: it listens for ${this.longest.toFixed(1)} seconds.`);
    }

    // What the network reads: relative to the loudest point, padded with silence.
    spectrogram(sound) {
      const { frames, bands } = this.data;
      const rows = logMel(sound.subarray(0, frames * HOP), this.filters);
      const most = rows.reduce((all, row) => Math.max(all, ...row), -Infinity);
      return Array.from({ length: frames }, (_, t) => Float32Array.from({ length: bands }, (_, band) =>
        rows[t] ? Math.max(rows[t][band] - most, -8) / 4 + 1 : -1));
    }

    // At each step the probability of the blank and of each word.
    probabilities(sound) {
      return this.network(this.spectrogram(sound)).map((shares) => [...shares]);
    }

    // Joins repeats and leaves out blanks; a word is as likely as at its likeliest step.
    read(steps) {
      const found = [];
      let before = 0;
      steps.forEach((shares, t) => {
        const share = Math.max(...shares);
        const best = shares.indexOf(share);
        if (best && best !== before) found.push({ word: this.data.words[best - 1], share, t });
        if (best && best === before && share > found.at(-1).share) Object.assign(found.at(-1), { share, t });
        before = best;
      });
      const seconds = this.longest / steps.length; // a step
      return found.map(({ word, share, t }) => ({ word, share, at: t * seconds }));
    }

    async answer() {
      this.more.replaceChildren();
      const sound = await this.source();
      const seconds = sound.length / RATE;
      if (seconds < SHORTEST) throw new Error("The recording lasts less than a tenth of a second. Choose a longer one.");
      const heard = sound.subarray(0, this.longest * RATE);
      if (heard.every((value) => Math.abs(value) < SILENT)) {
        throw new Error("There is nothing to hear: the recording is silent. Look whether the microphone is on, or choose another.");
      }
      const found = this.read(this.probabilities(heard));
      if (found.length) this.say("The network writes: ", make("strong", {}, found.map(({ word }) => word).join(" ")), ".");
      else this.say("The network writes nothing: at no step is a word likelier than none.");
      this.explain(found, seconds);
    }

    explain(found, seconds) {
      const notes = [`It knows only ${this.data.words.length} words: ${this.data.words.join(", ")}.`];
      if (found.length) notes.unshift("Each word with its largest probability, and when this is reached.");
      if (seconds > this.longest) {
        notes.unshift(`It hears the first ${this.longest.toFixed(1)} seconds; the recording lasts ${seconds.toFixed(1)}, and the rest was left out.`);
      }
      this.more.append(
        make("ul", { class: "network-shares" }, ...found.map(({ word, share, at }) => make("li", {},
          make("span", {}, word),
          make("span", { class: "network-bar", style: `--share: ${share}`, "aria-hidden": "true" }),
          make("span", {}, `${share.toFixed(2)} at ${at.toFixed(1)} s`)))),
        make("p", { class: "network-note" }, notes.join(" ")));
      if (!found.length) this.more.firstChild.remove();
    }
  }

  return { speech: SpeechForm };
});
