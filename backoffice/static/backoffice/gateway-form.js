/* Asks the doctor about a gateway's form while it is filled in. Without this file the form works
   all the same: it is checked when it is saved. Nothing that is typed is kept here. */
(function () {
    "use strict";
    const WAIT_MILLISECONDS = 600;
    const FILE_BYTES_MAX = 16 * 1024;
    const form = document.getElementById("gateway-form");

    if (!form || !form.querySelector("[type=submit]")) { return; }

    let timer = null;
    let running = null;
    const touched = new Set();

    function later(wait) {
        clearTimeout(timer);
        timer = setTimeout(check, wait);
    }

    async function check() {
        if (running) { running.abort(); }
        running = new AbortController();
        const body = new FormData(form);
        try {
            const answer = await fetch(form.dataset.check, {
                method: "POST", body, signal: running.signal, headers: {"X-Requested-With": "fetch"},
            });
            if (answer.ok) { show(await answer.json()); }
        } catch (error) {
            if (error.name !== "AbortError") { show({fields: {}, normalised: {}}); }
        }
    }

    function show(said) {
        for (const place of form.querySelectorAll("[data-said]")) {
            const name = place.dataset.said;
            /* What was not touched is not complained about while somebody is still filling in. */
            const lines = touched.has(name) ? (said.fields[name] || []) : [];
            place.replaceChildren(...lines.map(line));
            const isBad = lines.some(({level}) => level === "error");
            place.parentElement.classList.toggle("tcm-field-bad", isBad);
            const input = form.elements[name];
            if (input) { input.setAttribute("aria-invalid", isBad ? "true" : "false"); }
        }
        for (const [name, value] of Object.entries(said.normalised || {})) {
            const input = form.elements[name];
            if (!input || !value || !touched.has(name)) { continue; }
            /* Nobody is interrupted while typing; a whole certificate was not typed. */
            const isPasted = input.value.includes("-----BEGIN");
            if (isPasted || document.activeElement !== input) { input.value = value; }
        }
    }

    function line({level, message, fix}) {
        const paragraph = document.createElement("p");
        paragraph.className = "tcm-said-" + level;
        paragraph.textContent = fix ? message + "。" + form.dataset.fix + fix : message;
        return paragraph;
    }

    async function take(input) {
        const name = input.name.replace(/_file$/, "");
        const field = form.elements[name];
        const file = input.files[0];
        touched.add(name);
        if (!file || !field || file.size > FILE_BYTES_MAX) { later(0); return; }
        const bytes = new Uint8Array(await file.arrayBuffer());
        const isText = bytes.every((byte) => byte < 128);
        const text = String.fromCharCode(...bytes);
        field.value = isText ? text : btoa(text);
        input.value = "";
        later(0);
    }

    form.addEventListener("input", (event) => {
        if (event.target.name) { touched.add(event.target.name); }
        if (event.target.type !== "file") { later(WAIT_MILLISECONDS); }
    });
    form.addEventListener("change", (event) => {
        if (event.target.type === "file") { take(event.target); return; }
        touched.add(event.target.name);
        later(0);
    });
}());
