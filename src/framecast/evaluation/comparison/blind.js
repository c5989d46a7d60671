"use strict";
(() => {
  const study = document.getElementById("study");
  const trials = [...document.querySelectorAll(".trial")];
  const place = document.getElementById("place");
  const answers = document.getElementById("answers");
  const hint = document.getElementById("hint");
  const result = document.getElementById("result");
  const votes = [];

  /** The names and sides, behind their pad: see `_hidden` in blind.py. */
  function key() {
    const bytes = Uint8Array.from(atob(study.dataset.key), (c) => c.charCodeAt(0));
    const pad = bytes.slice(0, 32);
    const plain = bytes.slice(32).map((byte, at) => byte ^ pad[at % 32]);
    return JSON.parse(new TextDecoder().decode(plain));
  }

  /** Answers are taken once a pair has been seen to its end. */
  let seen = false;
  let playing;
  function allow(whether) {
    seen = whether;
    answers.querySelectorAll("[data-vote]").forEach((each) => { each.disabled = !whether; });
    hint.style.visibility = whether ? "hidden" : "visible";
  }

  function show() {
    trials.forEach((trial, at) => { trial.hidden = at !== votes.length; });
    place.textContent = `Pair ${votes.length + 1} of ${trials.length}`;
    allow(false);
    clearTimeout(playing);
    const { milliseconds } = trials[votes.length].dataset;
    playing = setTimeout(() => allow(true), Number(milliseconds));
  }

  function vote(answer) {
    if (votes.length >= trials.length || answers.hidden || !seen) return;
    votes.push(answer);
    if (votes.length < trials.length) show();
    else finish();
  }

  /** Wilson's 95 % interval of a share. */
  function interval(count, total) {
    const z = 1.959964;
    const p = count / total;
    const middle = (p + z * z / (2 * total)) / (1 + z * z / total);
    const half = z / (1 + z * z / total)
      * Math.sqrt(p * (1 - p) / total + z * z / (4 * total * total));
    return [Math.max(0, middle - half), Math.min(1, middle + half)];
  }

  function outcome() {
    const { names, sides, sequences, ...about } = key();
    const single = votes.map((answer, at) => {
      const left = names[sides[at]];
      const right = names[1 - sides[at]];
      const preferred = { left, right, even: null }[answer];
      return { sequence: sequences[at], left, right, preferred };
    });
    const shares = [...names, null].map((name) => {
      const count = single.filter((each) => each.preferred === name).length;
      const [low, high] = interval(count, single.length);
      return { preferred: name, count, share: count / single.length, low, high };
    });
    return { ...about, models: names, judgements: single.length, shares, votes: single };
  }

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  const percent = (value) => `${(100 * value).toFixed(1)} %`;

  function row(each) {
    const line = element("tr");
    const bar = element("td");
    const share = element("div", "", "share");
    share.style.width = percent(each.share).replace(" ", "");
    bar.append(share);
    const name = element("th", each.preferred === null ? "indifferent" : `prefer ${each.preferred}`);
    const bounds = element("small", ` ${percent(each.low)} to ${percent(each.high)}`);
    const figure = element("td", percent(each.share));
    figure.append(bounds);
    line.append(name, bar, figure, element("td", String(each.count)));
    return line;
  }

  function finish() {
    answers.hidden = true;
    trials.forEach((trial) => { trial.hidden = true; });
    place.textContent = "";
    result.hidden = false;
    result.replaceChildren();
    if (!votes.length) {
      result.append(element("p", "No votes were given."));
      return;
    }
    const found = outcome();
    const table = element("table", undefined, "shares");
    found.shares.forEach((each) => table.append(row(each)));
    const save = element("a", "Save the votes as JSON");
    save.href = URL.createObjectURL(
      new Blob([JSON.stringify(found, null, 1)], { type: "application/json" }),
    );
    save.download = "votes.json";
    result.append(
      element("h2", `${found.judgements} judgements`),
      element("p", "Shares with 95 % intervals after Wilson.", "hint"),
      table,
      save,
    );
  }

  answers.addEventListener("click", (event) => {
    const answer = event.target.closest("[data-vote]");
    if (answer) vote(answer.dataset.vote);
  });
  document.getElementById("stop").addEventListener("click", finish);
  document.addEventListener("keydown", (event) => {
    const answer = { ArrowLeft: "left", ArrowDown: "even", ArrowRight: "right" }[event.key];
    const other = event.repeat || event.altKey || event.ctrlKey || event.metaKey;
    if (!answer || other || answers.hidden) return;
    event.preventDefault();
    vote(answer);
  });
  answers.hidden = false;
  show();
})();
