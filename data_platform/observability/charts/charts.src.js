// What the status page draws, and nothing else: lines and bars on axes, what a finger or mouse points at, as SVG.
import { use, init } from "echarts/core";
import { BarChart, LineChart } from "echarts/charts";
import { GridComponent, TooltipComponent } from "echarts/components";
import { SVGRenderer } from "echarts/renderers";

use([BarChart, LineChart, GridComponent, TooltipComponent, SVGRenderer]);

export { init };
