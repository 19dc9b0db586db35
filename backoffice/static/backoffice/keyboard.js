/* What can be clicked can be reached and pressed by keyboard too: the menus around the pages are
   made of elements that browsers don't take for buttons. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const clickable = document.querySelectorAll("[x-on\\:click]:not(button):not(a[href]):not(input):not(label)");
    for (const one of clickable) {
        if (!one.hasAttribute("tabindex")) one.tabIndex = 0;
        if (!one.hasAttribute("role")) one.setAttribute("role", "button");
        one.addEventListener("keydown", (event) => {
            if (event.target !== one || (event.key !== "Enter" && event.key !== " ")) return;
            event.preventDefault();
            one.click();
        });
    }
});
