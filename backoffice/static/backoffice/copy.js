/* Buttons that copy the text of the element that they name. Without this file they stay hidden. */
(function () {
    "use strict";
    for (const button of document.querySelectorAll("[data-copy]")) {
        button.hidden = false;
        const label = button.textContent;
        button.addEventListener("click", async () => {
            const source = document.getElementById(button.dataset.copy);
            try {
                await navigator.clipboard.writeText(source.textContent.trim());
            } catch {
                /* Plain http: select it, so that it can be copied by hand. */
                const range = document.createRange();
                range.selectNodeContents(source);
                const selection = window.getSelection();
                selection.removeAllRanges();
                selection.addRange(range);
                document.execCommand("copy");
            }
            button.textContent = button.dataset.done;
            setTimeout(() => { button.textContent = label; }, 2000);
        });
    }
})();
