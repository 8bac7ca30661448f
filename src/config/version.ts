/**
 * Version of this program; the same as in package.json, the charts and the image
 * (test/operator/attach/version.test.ts).
 */
export const HOLDFAST_VERSION = '0.1.0';
