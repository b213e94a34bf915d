"use strict";
// The curves of one bench, drawn by uPlot. `data-drawn` on the page tells how many charts there are.
(function () {
  const curves = JSON.parse(document.getElementById("curves").textContent);
  const colours = ["#0969da", "#bc4c00", "#1a7f37", "#8250df", "#cf222e", "#0a7ea4", "#9a6700", "#57606a"];
  let drawn = 0;

  function draw(id, data, series, scales, axes) {
    const place = document.getElementById(id);
    const options = {width: Math.min(900, place.clientWidth || 900), height: 320, series, scales, axes, legend: {live: true}};
    new uPlot(options, data, place);
    document.documentElement.dataset.drawn = ++drawn;
  }

  function line(name, number, unit, more) {
    const value = (self, raw) => raw == null ? "–" : raw.toLocaleString("en") + " " + unit;
    return Object.assign({label: name, stroke: colours[number % colours.length], width: 2, spanGaps: true, value}, more);
  }

  const fromZero = (self, low, high) => [0, (high || 1) * 1.1];
  const inMilliseconds = {label: "ms", values: (self, ticks) => ticks.map(tick => tick == null ? "" : String(tick))};
  const longest = Math.max(0, ...curves.percentiles.map(one => one.x.length));
  if (longest > 1) {
    const xs = Array.from({length: longest}, (_, number) => number);
    draw("percentiles",
      [xs, ...curves.percentiles.map(one => xs.map(x => x < one.y.length ? one.y[x] : null))],
      [{label: "percentile", value: (self, raw) => raw == null ? "–" : curves.marks[raw] + " %"},
        ...curves.percentiles.map((one, number) => line(one.name, number, "ms"))],
      {x: {time: false}, y: {distr: 3}},
      [{label: "percentile", incrs: [1, 2, 5], values: (self, ticks) => ticks.map(tick => curves.marks[tick] ?? "")}, inMilliseconds]);
  }

  draw("throughput",
    [curves.loads.map((_, number) => number), curves.per_s, curves.p99_ms],
    [{label: "load", value: (self, raw) => raw == null ? "–" : curves.loads[raw]},
      line("requests/s", 0, "/s", {fill: colours[0] + "55", paths: uPlot.paths.bars({size: [0.6, 100]}), points: {show: false}}),
      line("p99", 1, "ms", {scale: "ms", paths: () => null, points: {show: true, size: 9, fill: colours[1]}})],
    {x: {time: false, range: [-0.5, curves.loads.length - 0.5]}, y: {range: fromZero}, ms: {range: fromZero}},
    [{label: "load", incrs: [1], splits: () => curves.loads.map((_, number) => number), values: (self, ticks) => ticks.map(tick => curves.loads[tick] ?? "")},
      {label: "requests/s", size: 70}, {label: "p99 ms", scale: "ms", side: 1, grid: {show: false}}]);

  if (curves.timeline.some(one => one.x.length > 1)) {
    draw("timeline",
      uPlot.join(curves.timeline.map(one => [one.x, one.y])),
      [{label: "seconds"}, ...curves.timeline.map((one, number) => line(one.name, number, "ms"))],
      {x: {time: false}, y: {distr: 3}},
      [{label: "seconds"}, inMilliseconds]);
  }
})();
