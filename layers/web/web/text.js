// Text from outside, shown literally: what cannot be seen, or reorders what is seen, becomes a labelled glyph.
import { element } from "./dom.js";

const NAMES = {
  0x00ad: ["SHY", "soft hyphen"],
  0x200b: ["ZWSP", "zero width space"],
  0x200c: ["ZWNJ", "zero width non-joiner"],
  0x200d: ["ZWJ", "zero width joiner"],
  0x200e: ["LRM", "left-to-right mark"],
  0x200f: ["RLM", "right-to-left mark"],
  0x202a: ["LRE", "left-to-right embedding"],
  0x202b: ["RLE", "right-to-left embedding"],
  0x202c: ["PDF", "end of direction change"],
  0x202d: ["LRO", "left-to-right override"],
  0x202e: ["RLO", "right-to-left override"],
  0x2060: ["WJ", "word joiner"],
  0x2066: ["LRI", "left-to-right isolate"],
  0x2067: ["RLI", "right-to-left isolate"],
  0x2069: ["PDI", "end of isolate"],
  0xfeff: ["BOM", "zero width no-break space"],
};

const PICTURE = String.raw`\p{Extended_Pictographic}\p{EMod}?\uFE0F?`;
const LABEL = String.raw`(?:(?!\p{DI})[\p{L}\p{N}\-]){1,63}`;
// Joined emoji are ordinary writing and come first, so that their joiners are not reported. Lengths are bounded and
// hosts start at a word's edge: one long word must not make the search quadratic.
const TOKEN = new RegExp(
  [
    `(?<emoji>${PICTURE}(?:\\u200D${PICTURE})+|${PICTURE}|[0-9#*]\\uFE0F?\\u20E3)`,
    String.raw`(?<tags>[\u{E0000}-\u{E007F}]+)`,
    String.raw`(?<selectors>[\uFE00-\uFE0F\u{E0100}-\u{E01EF}]+)`,
    String.raw`(?<hidden>(?![\n\t]|\r\n)[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{DI}\u1680\u2800])\k<hidden>*`,
    String.raw`(?<pile>(?<=\p{M}{4})\p{M}+)`,
    String.raw`(?<host>(?<![\p{L}\p{N}\-])(?:[a-z]{2,12}:\/\/)?${LABEL}(?:\.${LABEL}){1,12})`,
  ].join("|"),
  "giu",
);
const MIXED = /(?=.*\p{Script=Latin})(?=.*[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}])/u;

const hex = (point) => "U+" + point.toString(16).toUpperCase().padStart(4, "0");
const printable = (bytes) => bytes.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : "·")).join("");

/** The letters smuggled in tag characters or variation selectors, or "" where there are none. */
function smuggled(points) {
  const bytes = points
    .map((p) => (p >= 0xe0100 ? p - 0xe0100 + 16 : p >= 0xe0000 ? p - 0xe0000 : p - 0xfe00))
    .filter((b) => b !== 0x7f);
  return bytes.some((b) => b > 31 && b < 127) ? printable(bytes) : "";
}

/** The name a browser would really look up, where it differs from the letters shown; else null. */
function realHost(text) {
  const schemed = text.includes("://");
  if (/^[\0-\x7f]*$/.test(text) || !(schemed || MIXED.test(text))) return null;
  try {
    return new URL(schemed ? text.replace(/^[a-z]+:/i, "https:") : "https://" + text).hostname;
  } catch {
    return null;
  }
}

/**
 * Split text into what can be shown as it is and what needs a label.
 * @returns {{text: string, label?: string, name?: string, kept?: boolean}[]} In order; the `text`s joined are the input.
 *   `kept` pieces are shown and then labelled, the other labelled ones are replaced by their label.
 */
export function pieces(text) {
  const found = [];
  let from = 0;
  const add = (index, match, label, name, kept = false) => {
    if (index > from) found.push({ text: text.slice(from, index) });
    found.push({ text: match, label, name, kept });
    from = index + match.length;
  };
  for (const match of text.matchAll(TOKEN)) {
    const { tags, selectors, hidden, pile, host } = match.groups;
    const points = Array.from(match[0], (c) => c.codePointAt(0));
    if (tags || selectors) {
      const words = smuggled(points);
      const label = words ? `hidden text “${words}”` : points.length > 1 ? `VS ×${points.length}` : hex(points[0]);
      add(match.index, match[0], label, `${points.length} invisible characters that can carry hidden text`);
    } else if (hidden) {
      const point = hidden.codePointAt(0);
      const [short, name] = NAMES[point] ?? [hex(point), "invisible character"];
      const times = points.length > 1 ? ` ×${points.length}` : "";
      add(match.index, match[0], short + times, `${name} (${hex(point)})${times}`);
    } else if (pile) {
      add(match.index, pile, `+${points.length} marks`, `${points.length} more combining marks on one letter`);
    } else if (host) {
      const real = realHost(host);
      if (real) add(match.index, host, `really ${real}`, "Letters that look like others: this is the real host", true);
    }
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found;
}

/** How many runs of the text needed a label. */
export const hiddenCount = (text) => pieces(text).filter((piece) => piece.label).length;

/** The text without the characters that `pieces` replaces by labels. */
export const withoutHidden = (text) =>
  pieces(text)
    .filter((piece) => !piece.label || piece.kept)
    .map((piece) => piece.text)
    .join("");

/** Nodes that show the text literally. */
export function literal(text) {
  return pieces(text).flatMap(({ text: raw, label, name, kept }) => {
    if (!label) return [raw];
    const glyph = element("span.glyph", { role: "img", "aria-label": `${label}: ${name}`, title: name }, label);
    return kept ? [raw, glyph] : [glyph];
  });
}

/** A link to a page outside, only over https and only where its letters are what they seem; anything else is text. */
export function outsideLink(address) {
  const shown = element("span", literal(address));
  let url;
  try {
    url = new URL(address);
  } catch {
    return shown;
  }
  if (url.protocol !== "https:" || url.username || url.password || hiddenCount(address)) return shown;
  return element("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow" }, shown);
}

/** Text addressed by Unicode code points, as the API's offsets count; JavaScript's own strings count UTF-16 units. */
export class Points {
  constructor(text) {
    this.list = Array.from(text);
    this.length = this.list.length;
  }

  slice(start, end) {
    return this.list.slice(start, end).join("");
  }
}

/** "1 claim", "2 claims". */
export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
