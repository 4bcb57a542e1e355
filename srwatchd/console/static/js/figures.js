// Numbers, sizes, spans of time and dates, as the language writes them.

import { locale, t } from "./texts.js";

const formats = new Map();

function format(kind, options) {
  const key = `${locale}|${kind.name}|${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new kind(locale, options));
  return formats.get(key);
}

export const NONE = "–";

export function count(value, digits = 0) {
  if (value === null || value === undefined) return NONE;
  return format(Intl.NumberFormat, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
}

/** 12.3 at most: one digit behind the point while the number is small. */
export function rate(value) {
  return count(value, value > 0 && value < 10 ? 1 : 0);
}

export function percent(share) {
  return format(Intl.NumberFormat, { style: "percent", maximumFractionDigits: 0 }).format(share);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A size in binary units, with three digits that matter. */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return NONE;
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${count(value, unit > 0 && value < 10 ? 1 : 0)}\u00a0${UNITS[unit]}`;
}

export function speed(bytesPerSecond) {
  return t("figure.per_second", { size: size(bytesPerSecond) });
}

export function pixels(width, height) {
  return width && height ? `${count(width)}\u00a0×\u00a0${count(height)}` : NONE;
}

function unit(value, name, digits = 0) {
  const options = { style: "unit", unit: name, unitDisplay: "narrow", maximumFractionDigits: digits };
  return format(Intl.NumberFormat, options).format(value);
}

/** A span to the hundredth of a second. */
export function fine(seconds) {
  const options = { style: "unit", unit: "second", unitDisplay: "narrow", minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return format(Intl.NumberFormat, options).format(seconds);
}

/** How long something took: 420ms, 8.6s, 3m 12s, 2h 5m, 3d 4h. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 0.0005) return unit(0, "second");
  if (seconds < 0.95) return unit(Math.max(1, Math.round(seconds * 1000)), "millisecond");
  if (seconds < 59.5) return unit(seconds, "second", seconds < 9.95 ? 1 : 0);
  const whole = Math.round(seconds);
  if (whole < 3600) return joined(Math.floor(whole / 60), "minute", whole % 60, "second");
  if (whole < 86400) return joined(Math.floor(whole / 3600), "hour", Math.round((whole % 3600) / 60) % 60, "minute");
  return joined(Math.floor(whole / 86400), "day", Math.floor((whole % 86400) / 3600), "hour");
}

function joined(great, greatUnit, small, smallUnit) {
  return small === 0 ? unit(great, greatUnit) : `${unit(great, greatUnit)} ${unit(small, smallUnit)}`;
}

/** A moment, as short as it can be: today's as a time, others with their date. */
export function moment(at) {
  if (!at) return NONE;
  const then = new Date(at);
  const now = new Date();
  const sameDay = then.toDateString() === now.toDateString();
  const day = then.getFullYear() === now.getFullYear() ? { month: "short", day: "numeric" } : { dateStyle: "medium" };
  if (sameDay) return format(Intl.DateTimeFormat, { timeStyle: "medium" }).format(then);
  if (day.dateStyle) return format(Intl.DateTimeFormat, { dateStyle: "medium", timeStyle: "short" }).format(then);
  return format(Intl.DateTimeFormat, { ...day, hour: "numeric", minute: "2-digit" }).format(then);
}

/** A moment in full. */
export function fullMoment(at) {
  return at ? format(Intl.DateTimeFormat, { dateStyle: "long", timeStyle: "long" }).format(new Date(at)) : NONE;
}

/** How long ago, in words: "3 minutes ago". */
export function ago(at) {
  const seconds = (Date.now() - new Date(at).getTime()) / 1000;
  const words = format(Intl.RelativeTimeFormat, { numeric: "auto" });
  if (seconds < 45) return words.format(0, "second");
  if (seconds < 3600) return words.format(-Math.max(1, Math.round(seconds / 60)), "minute");
  if (seconds < 86400) return words.format(-Math.round(seconds / 3600), "hour");
  return words.format(-Math.round(seconds / 86400), "day");
}
