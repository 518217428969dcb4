"use strict";

const find = (selector) => document.querySelector(selector);

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
  link.download = find("#save").dataset.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Says so where a part of the drawing is out of sight, and shades the edge behind which it is. */
function hint(drawing) {
  const box = drawing.querySelector(".scroll");
  const said = document.getElementById(drawing.dataset.hint);
  const look = () => {
    const hidden = box.scrollWidth - box.clientWidth;
    said.hidden = hidden < 2;
    if (hidden < 2) box.removeAttribute("aria-describedby");
    else box.setAttribute("aria-describedby", said.id);
    drawing.classList.toggle("more-before", box.scrollLeft > 1);
    drawing.classList.toggle("more-after", box.scrollLeft < hidden - 1);
  };
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
  look();
}

/** What works on every page once there are scripts. */
function begin() {
  for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
  find("#copy")?.addEventListener("click", copy);
  find("#save").addEventListener("click", save);
  for (const drawing of document.querySelectorAll("[data-hint]")) hint(drawing);
}
