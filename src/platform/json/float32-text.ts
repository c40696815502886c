/**
 * A vector as a JSON array of the shortest decimals that give the same float32 values back when they are read as numbers and rounded to
 * float32, as JavaScript, Python and Chroma's server do. A value that is no number has no JSON: `"NaN"`, `"Infinity"`, `"-Infinity"`.
 */
export function vectorText(vector: Float32Array): string {
  const values: (number | string)[] = Array.from(vector, shortest);
  // JSON.stringify has its own notions of these.
  if (!values.some((value) => Object.is(value, -0) || typeof value === 'string'))
    return JSON.stringify(values);
  return `[${values.map((value) => (Object.is(value, -0) ? '-0.0' : JSON.stringify(value))).join(',')}]`;
}

/** The double that prints as the shortest decimal of a float32, or the name of what is no number. */
function shortest(value: number): number | string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 24) return value;
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  for (let digits = 6; digits <= 9; digits++) {
    // A quotient of two exact numbers is the decimal's own double.
    const power = digits - 1 - exponent;
    const scale = powersOfTen[Math.abs(power)];
    if (scale === undefined) return bySearch(value);
    const rounded = power >= 0 ? Math.round(value * scale) / scale : Math.round(value / scale) * scale;
    if (Math.fround(rounded) === value) return rounded;
  }
  return bySearch(value);
}

/** For the very large and the very small. */
function bySearch(value: number): number {
  for (let digits = 1; digits <= 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  return value;
}

/** Those that a double holds exactly. */
const powersOfTen = Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));
