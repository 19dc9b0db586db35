/* What the desks' pages do beyond plain forms. Every page also works without it. */
"use strict";

/* A select of phrases that fills a note. */
for (const select of document.querySelectorAll("select[data-fills]")) {
    select.addEventListener("change", () => {
        const note = document.getElementById(select.dataset.fills);
        if (note && select.value) note.value = select.selectedOptions[0].textContent;
    });
}

for (const select of document.querySelectorAll("select[data-submits]")) {
    select.addEventListener("change", () => select.form.submit());
}

/* Selecting several rows: how many, and how much together. Amounts are added as whole cents. */
for (const form of document.querySelectorAll("form[data-selects]")) {
    const boxes = [...form.querySelectorAll("input[data-amount]:not(:disabled)")];
    const all = form.querySelector("[data-select-all]");
    const text = form.querySelector("[data-selected-text]");
    const button = form.querySelector("button[type=submit]:not([form])");
    if (!text || !button) continue;
    const show = () => {
        const chosen = boxes.filter((box) => box.checked);
        const cents = chosen.reduce((sum, box) => sum + Math.round(Number(box.dataset.amount) * 100), 0);
        const yuan = (cents / 100).toLocaleString("zh-CN", { minimumFractionDigits: 2 });
        text.textContent = chosen.length
            ? text.dataset.template.replace("{count}", chosen.length).replace("{sum}", yuan)
            : text.dataset.empty;
        button.disabled = chosen.length === 0;
        if (all) {
            all.checked = chosen.length > 0 && chosen.length === boxes.length;
            all.indeterminate = chosen.length > 0 && chosen.length < boxes.length;
        }
    };
    if (all && boxes.length) {
        all.hidden = false;
        all.addEventListener("change", () => {
            for (const box of boxes) box.checked = all.checked;
            show();
        });
    }
    form.addEventListener("change", show);
    show();
}

/* A part of the page that asks for itself until it says that it is finished: often at first, and
   ever more seldom, because a gateway may take hours. Where it names its state, the rest of the
   page goes by that: it is loaded anew when the state changes, and once at the end. */
for (const part of document.querySelectorAll("[data-polls]")) {
    const isFinished = () => part.querySelector("[data-finished=yes]") !== null;
    const stateNow = () => part.querySelector("[data-state]")?.dataset.state;
    const stateFirst = stateNow();
    let pauseMs = 1000;
    const ask = async () => {
        try {
            const answer = await fetch(part.dataset.polls, { headers: { Accept: "text/html" } });
            if (answer.ok && !answer.redirected) part.innerHTML = await answer.text();
        } catch {
            /* The network comes back, or the reader reloads: the next question will tell. */
        }
        if (stateFirst && (stateNow() !== stateFirst || isFinished())) {
            location.reload();
            return;
        }
        pauseMs = Math.min(pauseMs * 1.1, 15000);
        if (!isFinished()) setTimeout(ask, pauseMs);
    };
    if (!isFinished()) setTimeout(ask, pauseMs);
}
