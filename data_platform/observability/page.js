"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const count = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const drawn = new Map();

  // The page says of itself how old it is: what is old is not known any more.
  const ago = (seconds) => {
    for (const [size, unit] of [[86400, "day"], [3600, "hour"], [60, "minute"]])
      if (seconds >= size) {
        const n = Math.floor(seconds / size);
        return `${n} ${unit}${n === 1 ? "" : "s"} ago`;
      }
    return "just now";
  };
  const tick = () => {
    const now = Date.now();
    for (const one of document.querySelectorAll("[data-ago]"))
      one.textContent = ago((now - Date.parse(one.dataset.ago)) / 1000);
    const old = document.getElementById("old");
    old.hidden = now - Date.parse(data.at) <= data.staleSeconds * 1000;
  };
  tick();
  setInterval(tick, 30000);

  const axes = (days, unit) => ({
    animation: !still,
    animationDuration: 300,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { left: 6, right: 10, top: 10, bottom: 4, containLabel: true },
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      confine: true,
      backgroundColor: color("--card"),
      borderColor: color("--line"),
      textStyle: { color: color("--ink"), fontSize: 13 },
      axisPointer: { lineStyle: { color: color("--soft") } },
      formatter: (found) => {
        const one = found.find((item) => item.value !== null && item.value !== undefined && item.value !== "-");
        return one ? `${days[one.dataIndex]}\n${count.format(one.value)}${unit ? " " + unit : ""}` : "";
      },
    },
    xAxis: {
      type: "category",
      data: days,
      boundaryGap: false,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: color("--line") } },
      axisLabel: { color: color("--soft"), hideOverlap: true, fontSize: 12, formatter: (text) => day(text) },
    },
    yAxis: {
      type: "value",
      splitNumber: 3,
      minInterval: unit === "s" ? 0 : 1,
      splitLine: { lineStyle: { color: color("--grid") } },
      axisLabel: { color: color("--soft"), fontSize: 12, formatter: (value) => short.format(value) },
    },
  });
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const day = (text) => `${Number(text.slice(8, 10))} ${months[Number(text.slice(5, 7)) - 1]}`;

  // Solid up to the day since when the figure is not ok, dashed in the colour of its state from then on.
  const figure = (one) => {
    const days = one.points.map((point) => point[0]);
    const values = one.points.map((point) => point[1]);
    const from = one.since ? days.findIndex((text) => text >= one.since) : -1;
    const cut = one.state === "ok" ? days.length : one.since ? (from < 0 ? days.length : Math.max(from, 1)) : 0;
    // A few a day are bars: a line would zigzag between them.
    if (values.every(Number.isInteger) && Math.max(...values) < 40) {
      const option = axes(days, one.unit);
      option.xAxis.boundaryGap = true;
      const data = values.map((value, n) => ({ value, itemStyle: { color: color(n < cut ? "--chart" : "--" + one.state) } }));
      return { ...option, series: [{ type: "bar", barMaxWidth: 14, barCategoryGap: "25%", data }] };
    }
    const line = (values, tone, area, dash) => ({
      type: "line",
      data: values,
      showSymbol: false,
      symbol: "circle",
      symbolSize: 6,
      lineStyle: { color: tone, width: 2, type: dash },
      itemStyle: { color: tone },
      areaStyle: area ? { color: area } : undefined,
    });
    const good = values.map((value, n) => (n < cut ? value : null));
    const rest = values.map((value, n) => (n >= cut - 1 ? value : null));
    const series = [line(good, color("--chart"), color("--chart-soft"), "solid")];
    if (cut < days.length) series.push(line(rest, color("--" + one.state), undefined, "dashed"));
    return { ...axes(days, one.unit), series };
  };

  const bars = (points, index, unit) => {
    const kept = points.filter((point) => point[index] !== null);
    const option = axes(kept.map((point) => point[0]), unit);
    option.xAxis.boundaryGap = true;
    const bar = { type: "bar", barMaxWidth: 14, itemStyle: { color: color("--chart"), borderRadius: [3, 3, 0, 0] } };
    const line = { type: "line", showSymbol: kept.length < 2, itemStyle: { color: color("--chart") }, areaStyle: { color: color("--chart-soft") } };
    return { ...option, series: [{ ...(index === 1 ? line : bar), data: kept.map((point) => point[index]) }] };
  };

  // A figure that is judged: what is not as the past lets expect is a dot.
  const judged = (one) => {
    const option = axes(one.points.map((point) => point[0]), one.unit);
    option.yAxis.scale = true;
    option.yAxis.minInterval = 0;
    const line = {
      type: "line",
      data: one.points.map((point) => point[1]),
      showSymbol: one.points.length < 2,
      lineStyle: { color: color("--chart"), width: 2 },
      itemStyle: { color: color("--chart") },
    };
    const alarms = {
      type: "line",
      data: one.points.map((point) => (point[2] ? point[1] : null)),
      symbol: "circle",
      symbolSize: 10,
      animation: false,
      showAllSymbol: true,
      lineStyle: { width: 0 },
      itemStyle: { color: color("--bad"), borderColor: color("--card"), borderWidth: 2 },
    };
    return { ...option, series: [line, alarms] };
  };

  const option = (box) => {
    const { figure: n, thing, measure, tracked } = box.dataset;
    if (n !== undefined) return figure(data.figures[Number(n)]);
    if (tracked !== undefined) return judged(data.tracked[Number(thing)][Number(tracked)]);
    return bars(data.history[Number(thing)], measure === "rows" ? 1 : 2, measure === "rows" ? "rows" : "s");
  };
  const draw = (box) => {
    let chart = drawn.get(box);
    if (!chart) {
      chart = echarts.init(box, null, { renderer: "svg" });
      drawn.set(box, chart);
      new ResizeObserver(() => chart.resize()).observe(box);
    }
    chart.setOption(option(box), true);
  };
  for (const box of document.querySelectorAll(".cards .chart")) draw(box);
  for (const one of document.querySelectorAll(".things details"))
    one.addEventListener("toggle", () => {
      if (one.open) for (const box of one.querySelectorAll(".chart")) draw(box);
    });
  dark.addEventListener("change", () => drawn.forEach((_, box) => draw(box)));
})();
