// Keys for the labelling page. Without this script the page works all the same, by pointer and Tab.
"use strict";

(() => {
  const form = document.getElementById("judge");
  if (!form) return;
  const questions = [...form.querySelectorAll("fieldset")];
  const selections = [...document.querySelectorAll("a.selection")];
  const picture = document.getElementById("picture");
  let sent = false;

  const chosen = (question) => question.querySelector("input:checked");
  const isOpen = (question) => !chosen(question);

  // The rationale of a rejected answer is rejected with it; the server holds to that too.
  const follow = () => {
    for (const question of questions) {
      const name = question.dataset.rejectedWith;
      if (!name) continue;
      const leader = form.querySelector(`input[name="${name}"]:checked`);
      const rejected = leader !== null && leader.value === "reject";
      if (rejected) question.querySelector('input[value="reject"]').checked = true;
      else if (question.classList.contains("follows")) chosen(question).checked = false;
      question.classList.toggle("follows", rejected);
    }
  };

  const mark = () => {
    follow();
    const current = questions.find(isOpen);
    for (const question of questions) question.classList.toggle("current", question === current);
    form.classList.toggle("complete", current === undefined);
  };

  const send = () => {
    if (sent) return;
    if (!questions.some(isOpen)) form.requestSubmit();
    else questions.find(isOpen).classList.add("missing");
  };

  const answer = (key) => {
    const question = questions.find(isOpen);
    const input = question && question.querySelector(`input[data-key="${CSS.escape(key)}"]`);
    if (!input) return false;
    input.checked = true;
    mark();
    if (!questions.some(isOpen)) send();
    return true;
  };

  const stepBack = () => {
    const last = questions.filter((question) => !isOpen(question) && !question.classList.contains("follows")).pop();
    if (last) chosen(last).checked = false;
    mark();
  };

  const look = (selection) => {
    for (const other of selections) other.removeAttribute("aria-current");
    selection.setAttribute("aria-current", "true");
    picture.src = selection.href;
    picture.parentElement.href = selection.href;
  };

  for (const selection of selections) {
    selection.addEventListener("click", (event) => {
      event.preventDefault();
      look(selection);
    });
  }

  const commands = {
    enter: send,
    backspace: stepBack,
    u: () => document.querySelector("#undo button:enabled")?.click(),
    g: () => document.getElementById("guide").toggleAttribute("open"),
    b: () => {
      const now = selections.findIndex((selection) => selection.hasAttribute("aria-current"));
      if (selections.length) look(selections[(now + 1) % selections.length]);
    },
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || sent) return;
    const key = event.key.toLowerCase();
    const onButton = event.target.closest("button, a, summary") !== null;
    if (key === "enter" && onButton) return;
    if (commands[key]) commands[key]();
    else if (!answer(key)) return;
    event.preventDefault();
  });

  form.addEventListener("change", mark);
  for (const sender of document.querySelectorAll("form")) {
    sender.addEventListener("submit", (event) => {
      if (sender === form && questions.some(isOpen)) {
        event.preventDefault();
        send();
      } else if (sent) {
        event.preventDefault();
      } else {
        sent = true;
      }
    });
  }
  // The browser may bring the page back as it was when somebody goes back.
  window.addEventListener("pageshow", () => {
    sent = false;
    mark();
  });
  mark();
})();
