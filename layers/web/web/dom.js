// Building elements. Strings only ever become text nodes, so nothing from outside can become markup.

/**
 * Make an element: `element("p.hint", { id: "x" }, "text", node)`, the attributes optional.
 * Attributes and children of null, undefined or false are left out.
 */
export function element(tag, ...content) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(" ");
  const attributes = content[0]?.constructor === Object ? content.shift() : {};
  const given = (value) => value !== null && value !== undefined && value !== false;
  for (const [key, value] of Object.entries(attributes)) {
    if (!given(value)) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...content.flat(2).filter(given));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Text that only a screen reader says. */
export const spoken = (text) => element("span.spoken", text);

/** A small labelled fact. `tone` is one of good, warn, bad or null; the words alone carry the meaning. */
export const chip = (text, tone = null) => element(tone ? `span.chip.chip-${tone}` : "span.chip", text);
