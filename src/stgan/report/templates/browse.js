"use strict";

// Films are loaded and play only while they can be seen; none moves for whoever asked for less motion.
function play(link) {
  if (link.querySelector("video")) return;
  const video = document.createElement("video");
  Object.assign(video, { muted: true, loop: true, autoplay: true, playsInline: true });
  for (const [address, type] of [[link.href, "video/mp4"], [link.dataset.webm, "video/webm"]]) {
    const source = document.createElement("source");
    Object.assign(source, { src: address, type });
    video.append(source);
  }
  video.ariaHidden = "true"; // the picture below it has its name
  link.append(video);
}

function stop(link) {
  const video = link.querySelector("video");
  if (!video) return;
  video.pause();
  video.replaceChildren();
  video.load(); // frees what was loaded
  video.remove();
}

const watcher = new IntersectionObserver(
  (seen) => seen.forEach(({ target, isIntersecting }) => (isIntersecting ? play(target) : stop(target))),
);
if (!matchMedia("(prefers-reduced-motion: reduce)").matches)
  document.querySelectorAll("a.film").forEach((link) => watcher.observe(link));

// The search box and the order of the classes.
const plain = (text) => text.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "").replace(/_/g, " ");
const cards = [...document.querySelectorAll(".card")].map((card) => ({ card, name: plain(card.dataset.name) }));

function search(query) {
  const words = plain(query).split(" ");
  let found = 0;
  for (const { card, name } of cards) {
    card.hidden = !words.every((word) => name.includes(word));
    found += !card.hidden;
  }
  document.getElementById("found").textContent = `${found} of ${cards.length}`;
}

function order(by, sign) {
  const value = ({ card }) => (by in card.dataset ? sign * card.dataset[by] : Infinity); // unknown ones are last
  const sorted = by ? [...cards].sort((one, other) => value(one) - value(other) || 0) : cards;
  document.getElementById("cards").append(...sorted.map(({ card }) => card));
}

const tools = document.getElementById("tools");
if (tools) {
  const [box, choice] = [document.getElementById("search"), document.getElementById("order")];
  box.addEventListener("input", () => search(box.value));
  choice.addEventListener("change", () => {
    const [by, sign] = choice.value.split(" ");
    order(by, Number(sign));
  });
  tools.hidden = false;
  search(box.value); // browsers keep what was typed when a page is loaded again
  choice.dispatchEvent(new Event("change"));
}
