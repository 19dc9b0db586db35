/**
 * The amount in fen, exactly.
 * @param {string} text such as "30.00"
 * @returns {bigint}
 */
export function fenOf(text: string): bigint;
/**
 * An amount as the API takes it.
 * @param {bigint} fen
 * @returns {string}
 */
export function amountText(fen: bigint): string;
