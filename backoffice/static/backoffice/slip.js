// The one thing that a slip's page does. Without scripts the browser's own menu prints it.
document.getElementById("print").addEventListener("click", () => window.print());
