/** Videos under one button and one bar; the first leads, the others follow. */
class Player {
  constructor() {
    this.known = new Set();
    this.playing = false;
    this.restarting = false;
    this.shown = () => {}; // what else is to do when a frame is shown
    this.button = find("#play");
    this.bar = find("#seek");
  }

  /** Lead the videos in here from now on; `data-fps` and `data-frames` are theirs. */
  take(root) {
    this.videos = [...root.querySelectorAll("video")];
    this.lead = this.videos[0];
    this.frame = 1 / Number(root.dataset.fps);
    this.frames = Number(root.dataset.frames);
    this.bar.max = this.frames - 1;
    for (const video of this.videos) if (!this.known.has(video)) this.meet(video);
  }

  meet(video) {
    this.known.add(video);
    video.controls = false;
    video.preload = "auto";
    video.addEventListener("seeked", () => this.show());
    video.addEventListener("loadeddata", () => this.show());
    video.addEventListener("pause", () => this.stopped(video));
    video.addEventListener("error", () => this.fail());
  }

  /** Other videos in the place of these: at the same frame, and playing if these were. */
  change(root) {
    const number = this.number();
    const playing = this.playing;
    if (playing) this.pause({ announced: false });
    this.take(root);
    this.seek(Math.min(number, this.frames - 1));
    if (playing) this.play({ announced: false });
  }

  start(root) {
    this.take(root);
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
    const videos = this.videos;
    try {
      await Promise.all(videos.map((video) => video.play()));
    } catch {
      if (videos !== this.videos) return; // others are led by now
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
    const led = this.videos.includes(video);
    if (led && this.playing && !this.restarting && !video.ended) this.pause();
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
    this.shown();
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
