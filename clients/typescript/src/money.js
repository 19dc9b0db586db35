// Amounts are texts with two places on the wire ("30.00"). Never count with numbers: 0.1 + 0.2.

const TEXT = /^[0-9]{1,16}\.[0-9]{2}$/;

/**
 * The amount in fen, exactly.
 * @param {string} text such as "30.00"
 * @returns {bigint}
 */
export function fenOf(text) {
  if (!TEXT.test(text)) throw new RangeError(`not an amount: ${JSON.stringify(text)}`);
  return BigInt(text.replace(".", ""));
}

/**
 * An amount as the API takes it.
 * @param {bigint} fen
 * @returns {string}
 */
export function amountText(fen) {
  if (typeof fen !== "bigint" || fen < 0n) throw new RangeError(`not an amount in fen: ${fen}`);
  const digits = String(fen).padStart(3, "0");
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
}
