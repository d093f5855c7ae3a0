"use strict";
(() => {
  const given = JSON.parse(document.getElementById("charts").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const printing = window.matchMedia("print");
  const template = () => given.templates[dark.matches && !printing.matches ? "dark" : "light"];
  const boxes = [...document.querySelectorAll("[data-chart]")].filter((box) => given.charts[box.dataset.chart]);
  const config = { responsive: true, displaylogo: false, showSendToCloud: false, showEditInChartStudio: false };
  const draw = (box) => {
    const { data, layout } = given.charts[box.dataset.chart];
    return Plotly.react(box, data, { ...layout, template: template(), autosize: true }, config);
  };
  const all = () => boxes.forEach(draw);
  all();
  dark.addEventListener("change", all);
  window.addEventListener("beforeprint", all);
  window.addEventListener("afterprint", all);
})();
