/** |a - b| of the first two frames, doubled until it is amplified as chosen. */
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
    const label = `Difference of the first two frames, amplified ${this.amplify.value} times`;
    this.canvas.setAttribute("aria-label", label);
  }
}

begin();
const root = find(".player");
if (root) {
  const player = new Player();
  const difference = find("#difference") && new Difference([...root.querySelectorAll("video")]);
  player.shown = () => difference?.draw();
  player.start(root);
}
