const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};
const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

export type XmlNode = readonly [name: string, content: string | number | boolean | readonly XmlNode[]];

/** A document; throws for a character that XML 1.0 cannot hold, as a real server's answer would be unreadable. */
export function toXml(root: XmlNode): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element(root)}`;
}

/** The texts of all elements of this name, at any depth. */
export function textsOf(xml: string, name: string): readonly string[] {
  return [...xml.matchAll(new RegExp(`<${name}(?: [^>]*)?>([^<]*)</${name}>`, 'g'))].map(([, text = '']) =>
    unescape(text),
  );
}

/** The insides of all elements of this name. */
export function elementsOf(xml: string, name: string): readonly string[] {
  return [...xml.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))].map(([, inside = '']) => inside);
}

function element([name, content]: XmlNode): string {
  const inside = Array.isArray(content)
    ? (content as readonly XmlNode[]).map(element).join('')
    : escapeText(String(content));
  return `<${name}>${inside}</${name}>`;
}

function escapeText(text: string): string {
  // eslint-disable-next-line no-control-regex -- these are what XML cannot hold
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text))
    throw new Error(`XML cannot hold ${JSON.stringify(text)}`);
  return text
    .replace(/[&<>"']/g, (character) => escapes[character] ?? character)
    .replace(/\r/g, '&#13;')
    .replace(/\n/g, '&#10;');
}

function unescape(text: string): string {
  return text.replace(/&(#x[0-9a-f]+|#[0-9]+|[a-z]+);/gi, (whole, name: string) => {
    if (name.startsWith('#x')) return String.fromCodePoint(Number.parseInt(name.slice(2), 16));
    if (name.startsWith('#')) return String.fromCodePoint(Number(name.slice(1)));
    return entities[name] ?? whole;
  });
}
