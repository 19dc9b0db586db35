/**
 * The answer, which may be 304. Throws Refused, NoAnswer.
 * @param {ClientOptions} options
 * @param {Call} call
 * @returns {Promise<Response>}
 */
export function send(options: ClientOptions, call: Call): Promise<Response>;
export function sleepFor(seconds: number): Promise<any>;
/**
 * How often and how long a call is tried again (seconds). A longer Retry-After is the caller's.
 */
export type Patience = {
    attempts?: number | undefined;
    firstWait?: number | undefined;
    longestWait?: number | undefined;
    retryAfterMax?: number | undefined;
};
export type ClientOptions = {
    /**
     * such as https://pay.example.cn
     */
    baseUrl: string;
    /**
     * a platform token, or what gives one
     */
    token?: string | (() => string | Promise<string>) | undefined;
    language?: "zh-hans" | "en" | undefined;
    /**
     * of one try
     */
    timeoutSeconds?: number | undefined;
    patience?: Patience | undefined;
    fetch?: typeof fetch | undefined;
    sleep?: ((seconds: number) => Promise<void>) | undefined;
};
export type Call = import("./operations.js").Call;
