// Makes elements. Text always becomes text nodes: nothing that comes from a document or a proxy is read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. Properties beginning with `on` are listeners; false, null and undefined leave one out. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Make an SVG element. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Put other children into an element; the element that has the focus keeps it, by its `data-key` or id. */
export function replace(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset?.key;
  const id = focused?.id;
  element.replaceChildren(...children.flat(3).filter(Boolean));
  const again = key
    ? [...element.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key)
    : id && document.getElementById(id);
  again?.focus({ preventScroll: true });
}
