// Stamps comments with their verdict as soon as there is one. Without this script, or
// if the stream is refused, there is a link to look again.
"use strict";

const list = document.querySelector("[data-verdicts]");

if (list && "EventSource" in window) {
  const links = list.querySelectorAll(".again");
  const stream = new EventSource(list.dataset.verdicts);

  stream.addEventListener("open", () => links.forEach((link) => { link.hidden = true; }));

  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) links.forEach((link) => { link.hidden = false; });
  });

  stream.addEventListener("verdict", (event) => {
    const verdict = JSON.parse(event.data);
    const comment = list.querySelector(`[data-comment="${verdict.comment}"][data-status="checking"]`);
    if (!comment) return;
    comment.dataset.status = verdict.status;
    comment.querySelector(".mark").textContent = verdict.mark;
    comment.querySelector(".text").textContent = verdict.note;
    comment.querySelector(".again").remove();
    document.getElementById("comments").textContent = verdict.count;
  });

  stream.addEventListener("done", () => stream.close());
}
