// The cashier's own script: live status, the clock, and forms that survive a lost network.
// Without it the page works too, by its forms and links. All texts are the page's.
"use strict";
(() => {
  const page = document.getElementById("cashier");
  if (!page) return;

  const { state, status, back, waiting } = page.dataset;
  const said = document.getElementById("said");
  const FIRST_MS = 2000, MAX_MS = 15000, QUICK_ASKS = 15, GROWTH = 1.3;
  let attempt = page.dataset.attempt; // null: whichever is told next
  let isBusy = false, isLeaving = false, isOffline = false, asks = 0, wait = FIRST_MS, timer = 0;

  const say = (text) => {
    const told = document.createElement("p");
    told.className = "notice";
    told.textContent = text;
    said.replaceChildren(told);
  };
  const sayOf = (name) => said.replaceChildren(document.getElementById(`text-${name}`).content.cloneNode(true));

  const ask = (url, options = {}) =>
    fetch(url, { cache: "no-store", credentials: "omit", ...options, headers: { Accept: "application/json" } });

  const take = (told) => {
    const hasChanged = told.state !== state || (attempt !== null && told.attempt !== attempt);
    attempt = told.attempt;
    if (hasChanged) location.reload();
    return hasChanged;
  };

  const lost = () => {
    isOffline = true;
    sayOf("offline");
  };
  const found = () => {
    if (isOffline) said.replaceChildren();
    isOffline = false;
  };

  // --- live status, with patience that grows ---
  const look = async () => {
    clearTimeout(timer);
    if (document.hidden || isBusy) return later();
    try {
      const answer = await ask(status);
      found();
      if (answer.status === 404) return location.reload();
      if (answer.ok && !isBusy && take(await answer.json())) return;
      if (answer.status === 429) wait = 1000 * Number(answer.headers.get("Retry-After") || 30);
    } catch {
      if (!isBusy && !isLeaving) lost();
    }
    later();
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(look, wait);
    if (++asks > QUICK_ASKS) wait = Math.min(wait * GROWTH, MAX_MS);
  };
  if (waiting) {
    later();
    for (const event of ["visibilitychange", "focus", "online"]) {
      (event === "visibilitychange" ? document : window).addEventListener(event, () => {
        wait = FIRST_MS;
        asks = 0;
        if (!document.hidden) look();
      });
    }
  }
  addEventListener("beforeunload", () => { isLeaving = true; });
  // A page kept for the back button is an old one.
  addEventListener("pageshow", (event) => event.persisted && location.reload());

  // --- starting, and asking how it stands ---
  const busy = (button, is) => {
    isBusy = is;
    for (const one of document.querySelectorAll("form button")) one.disabled = is;
    button.classList.toggle("busy", is);
    button.setAttribute("aria-busy", String(is));
  };
  const go = (address) => {
    const there = new URL(address, location.href);
    if (there.pathname === location.pathname && there.origin === location.origin) location.reload();
    else location.assign(there);
    return "leaving"; // until then nothing can be pressed again
  };
  const check = async () => {
    const answer = await ask(back, { method: "POST" });
    if (!answer.ok) say((await answer.json()).message);
    else if (!take(await answer.json())) sayOf("not-yet");
  };
  const payInWechat = (fields) => new Promise((resolve) => {
    const invoke = () => WeixinJSBridge.invoke("getBrandWCPayRequest", fields, (result) => resolve(result.err_msg));
    if (window.WeixinJSBridge) invoke();
    else document.addEventListener("WeixinJSBridgeReady", invoke, { once: true });
  });

  const start = async (form, way) => {
    const answer = await ask(form.action, { method: "POST", body: new URLSearchParams({ way }) });
    const told = await answer.json();
    attempt = null;
    if (!answer.ok) return say(told.message);
    if (!told.jsapi) return go(told.go);
    // What WeChat answers here proves nothing: the gateway is asked.
    if (await payInWechat(told.jsapi) === "get_brand_wcpay_request:ok") return check();
    sayOf("not-paid");
  };

  for (const form of document.querySelectorAll("form[data-fetched]")) {
    form.addEventListener("submit", async (event) => {
      const button = event.submitter || document.activeElement;
      event.preventDefault();
      if (isBusy) return;
      busy(button, true);
      said.replaceChildren();
      try {
        const is = await (form.dataset.fetched === "start" ? start(form, button.value) : check());
        if (is === "leaving") return;
      } catch {
        lost();
      }
      busy(button, false);
    });
  }

  // --- time left ---
  const left = document.getElementById("left");
  if (left) {
    const endsAt = Date.now() + 1000 * (Number(left.dataset.seconds) + 1);
    const two = (number) => String(number).padStart(2, "0");
    const tick = () => {
      const seconds = Math.floor((endsAt - Date.now()) / 1000);
      if (seconds <= 0) return location.reload();
      const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
      left.querySelector("b").textContent = (hours ? `${hours}:` : "") + `${two(minutes)}:${two(seconds % 60)}`;
      left.classList.toggle("soon", seconds < 300);
      left.hidden = false;
      setTimeout(tick, 1000);
    };
    tick();
  }

  // --- and back to where the payer came from ---
  const home = document.getElementById("return");
  if (home && home.dataset.after) {
    let seconds = Number(home.dataset.after);
    const count = () => {
      if (seconds <= 0) return location.replace(home.href);
      home.querySelector(".after").textContent = `(${seconds--})`;
      setTimeout(count, 1000);
    };
    count();
  }
})();
