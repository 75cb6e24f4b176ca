// The server that a suite runs against, and what the suites have in common. ../../stoa_server.py starts the real binary and ends it when its standard input closes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before } from 'node:test';

export const CHAT = 'smollm2-135m-instruct', EMBED = 'all-minilm-l6-v2';
// What ../../replays.py answers in the place of the providers, and counts.
export const FAMILIES = ['openai', 'azure', 'anthropic', 'bedrock', 'vertex', 'sagemaker'];
export const TEXT = 'The capital is Bern.', PROMPT_TOKENS = 21, ANSWER_TOKENS = 7;

/** Starts a server before the tests of this file and ends it after them; `started` is given its url and keys. With "providers" its project has one of every family, each with the model "big". */
export function withServer(started, ...modes) {
  let server;
  before(async () => {
    const script = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'stoa_server.py');
    server = spawn(process.env.STOA_PYTHON ?? 'python3', [script, ...modes], { stdio: ['pipe', 'pipe', 'inherit'] });
    const { value, done } = await createInterface({ input: server.stdout })[Symbol.asyncIterator]().next();
    assert.ok(!done, 'the server did not start');
    await started(JSON.parse(value));
  }, { timeout: 90_000 });
  after(async () => {
    server?.stdin.end();
    await new Promise((resolve) => (server && server.exitCode === null ? server.once('exit', resolve) : resolve()));
  });
}

/** Asks again until `done` holds of the answer; fails after a minute. */
export async function until(ask, done) {
  for (const end = Date.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const answer = await ask();
    if (done(answer)) return answer;
    assert.ok(Date.now() < end, `it does not end: ${JSON.stringify(answer)}`);
  }
}

/** The promise fails with an error of this class that has these properties. */
export const rejects = (promise, kind, more = {}) => assert.rejects(promise, (error) => {
  assert.ok(error instanceof kind, String(error));
  for (const [name, value] of Object.entries(more)) assert.equal(error[name], value);
  return true;
});
