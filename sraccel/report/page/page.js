"use strict";

const find = (selector) => document.querySelector(selector);

/** Two videos (or one) under one button and one bar; the first leads, the others follow. */
class Player {
  constructor(root) {
    this.videos = [...root.querySelectorAll("video")];
    this.lead = this.videos[0];
    this.frame = 1 / Number(root.dataset.fps);
    this.frames = Number(root.dataset.frames);
    this.playing = false;
    this.restarting = false;
    this.difference = find("#difference") ? new Difference(this.videos) : null;
    this.button = find("#play");
    this.bar = find("#seek");
    this.bar.max = this.frames - 1;
  }

  start() {
    for (const video of this.videos) {
      video.controls = false;
      video.addEventListener("seeked", () => this.show());
      video.addEventListener("loadeddata", () => this.show());
      video.addEventListener("pause", () => this.stopped(video));
      video.addEventListener("error", () => this.fail());
    }
    this.button.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    this.bar.addEventListener("input", () => this.seek(Number(this.bar.value)));
    this.show();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!still) this.play({ announced: false });
  }

  async play({ announced = true } = {}) {
    this.playing = true;
    this.label(announced ? "Playing" : "");
    if (this.atEnd()) await this.jump(0);
    else this.align();
    await this.run();
  }

  async run() {
    try {
      await Promise.all(this.videos.map((video) => video.play()));
    } catch {
      if (this.playing) this.pause({ announced: false }); // the browser allows no autoplay
      return;
    }
    this.again();
  }

  again() {
    cancelAnimationFrame(this.coming);
    this.coming = requestAnimationFrame(() => this.tick());
  }

  pause({ announced = true } = {}) {
    this.playing = false;
    for (const video of this.videos) video.pause();
    this.align();
    this.show();
    this.label(announced ? `Paused at ${this.position()}` : "");
  }

  /** A pause that nobody asked for here: a media key, or the browser saving power. */
  stopped(video) {
    if (this.playing && !this.restarting && !video.ended) this.pause();
  }

  /** Go to the middle of a frame: its edges are not where a rounded number falls. */
  seek(number) {
    for (const video of this.videos) video.currentTime = (number + 0.5) * this.frame;
    this.show(number);
  }

  /** All at the same time, and the pictures there. */
  async jump(seconds) {
    const arrived = this.videos.map(
      (video) => new Promise((done) => video.addEventListener("seeked", done, { once: true })),
    );
    for (const video of this.videos) video.currentTime = seconds;
    await Promise.all(arrived);
  }

  atEnd() {
    return this.videos.some((video) => video.ended || video.currentTime >= video.duration);
  }

  async restart() {
    this.restarting = true;
    for (const video of this.videos) video.pause();
    await this.jump(0);
    this.restarting = false;
    if (this.playing) await this.run();
  }

  tick() {
    if (!this.playing || this.restarting) return;
    if (this.atEnd()) {
      this.restart();
      return;
    }
    for (const video of this.videos.slice(1)) this.follow(video);
    this.show();
    this.again();
  }

  /** Small drifts are made good by the rate, which nobody sees; large ones by a jump. */
  follow(video) {
    const drift = video.currentTime - this.lead.currentTime;
    if (video.seeking || this.lead.seeking) return;
    if (Math.abs(drift) > this.frame / 2) {
      video.currentTime = this.lead.currentTime;
      video.playbackRate = 1;
    } else {
      video.playbackRate = 1 - Math.max(-0.1, Math.min(0.1, 2 * drift));
    }
  }

  align() {
    for (const video of this.videos.slice(1)) {
      video.playbackRate = 1;
      if (video.currentTime !== this.lead.currentTime) video.currentTime = this.lead.currentTime;
    }
  }

  number() {
    return Math.min(this.frames - 1, Math.floor(this.lead.currentTime / this.frame + 1e-6));
  }

  position(number = this.number()) {
    return `frame ${number + 1} of ${this.frames}, ${(number * this.frame).toFixed(2)} s`;
  }

  show(number = this.number()) {
    this.bar.value = number;
    this.bar.setAttribute("aria-valuetext", this.position(number));
    find("#position").textContent = this.position(number);
    this.difference?.draw();
  }

  label(state) {
    this.button.textContent = this.playing ? "Pause" : "Play";
    if (state) find("#state").textContent = state;
  }

  fail() {
    const trouble = find("#trouble");
    trouble.textContent = "This browser cannot play these videos (H.264 in MP4).";
    trouble.hidden = false;
  }
}

/** |a - b| of both frames, doubled until it is amplified as chosen. */
class Difference {
  constructor(videos) {
    this.videos = videos;
    this.canvas = find("#difference");
    this.context = this.canvas.getContext("2d");
    this.amplify = find("#amplify");
    this.amplify.addEventListener("change", () => this.draw());
  }

  draw() {
    if (this.videos.some((video) => video.readyState < 2)) return;
    const { width, height } = this.canvas;
    const put = (image, operation) => {
      this.context.globalCompositeOperation = operation;
      this.context.drawImage(image, 0, 0, width, height);
    };
    put(this.videos[0], "copy");
    put(this.videos[1], "difference");
    for (let factor = 1; factor < Number(this.amplify.value); factor *= 2) put(this.canvas, "lighter");
    const label = `Difference of the two frames, amplified ${this.amplify.value} times`;
    this.canvas.setAttribute("aria-label", label);
  }
}

function copy() {
  const said = find("#copied");
  const text = find("#recipe").textContent;
  const done = (word) => {
    said.textContent = word === "Copied" ? "Recipe copied" : "The recipe is selected: copy it";
    find("#copy").textContent = word;
    setTimeout(() => (find("#copy").textContent = "Copy"), 2000);
  };
  const select = () => {
    getSelection().selectAllChildren(find("#recipe"));
    done(document.execCommand("copy") ? "Copied" : "Selected");
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => done("Copied"), select);
  else select();
}

function save() {
  const content = JSON.stringify(JSON.parse(find("#report").textContent), null, 2);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  link.download = "report.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Says so where a part of the drawing is out of sight, and shades the edge behind which it is. */
function hint(drawing) {
  const box = drawing.querySelector(".scroll");
  const look = () => {
    const hidden = box.scrollWidth - box.clientWidth;
    find("#sideways").hidden = hidden < 2;
    if (hidden < 2) box.removeAttribute("aria-describedby");
    else box.setAttribute("aria-describedby", "sideways");
    drawing.classList.toggle("more-before", box.scrollLeft > 1);
    drawing.classList.toggle("more-after", box.scrollLeft < hidden - 1);
  };
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
  look();
}

for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
find("#copy")?.addEventListener("click", copy);
find("#save").addEventListener("click", save);
const drawing = find(".drawing");
if (drawing) hint(drawing);
const root = find(".player");
if (root) new Player(root).start();
