// The official AWS SDK for JavaScript against the real binary, over the model of this server and over providers of every family. Its client of Bedrock speaks
// HTTP/2 unless it is told otherwise, and sends API keys as bearer tokens.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, ResourceNotFoundException, ThrottlingException } from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { ANSWER_TOKENS, CHAT, FAMILIES, PROMPT_TOKENS, TEXT, withServer } from './server.mjs';

const WEATHER = { tools: [{ toolSpec: { name: 'weather', description: 'of a city', inputSchema: { json: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false } } } }] };
let client;

after(() => client?.destroy());
withServer((setup) => {
  client = new BedrockRuntimeClient({ region: 'any', endpoint: setup.url, token: { token: setup.key }, authSchemePreference: ['httpBearerAuth'], requestHandler: new NodeHttpHandler(), maxAttempts: 1 });
}, 'providers');

const asked = (modelId, text, more = {}) => ({ modelId, messages: [{ role: 'user', content: [{ text }] }], inferenceConfig: { maxTokens: 64, temperature: 0 }, ...more });
async function streamed(input) {
  const answer = { text: '', call: '', stop: undefined, usage: undefined, pieces: 0 };
  for await (const event of (await client.send(new ConverseStreamCommand(input))).stream) {
    const delta = event.contentBlockDelta?.delta;
    if (delta?.text) (answer.text += delta.text), answer.pieces++;
    if (delta?.toolUse) answer.call += delta.toolUse.input;
    answer.stop ??= event.messageStop?.stopReason;
    answer.usage ??= event.metadata?.usage;
  }
  return answer;
}

test('the model of this server answers and streams', async () => {
  const input = asked(CHAT, 'What is the capital of France? Answer in one word.');
  const answer = await client.send(new ConverseCommand(input));
  assert.match(answer.output.message.content[0].text, /Paris/);
  assert.equal(answer.stopReason, 'end_turn');
  assert.equal(answer.usage.totalTokens, answer.usage.inputTokens + answer.usage.outputTokens);
  const pieces = await streamed(input);
  assert.equal(pieces.text, answer.output.message.content[0].text);
  assert.equal(pieces.usage.outputTokens, answer.usage.outputTokens);
});

test('providers answer, stream, call tools and take their results', async () => {
  for (const family of FAMILIES) {
    const answer = await client.send(new ConverseCommand(asked(`${family}/big`, 'What is the capital?')));
    assert.deepEqual([answer.output.message.content[0].text, answer.usage.inputTokens, answer.usage.outputTokens], [TEXT, PROMPT_TOKENS, ANSWER_TOKENS], family);
    const pieces = await streamed(asked(`${family}/big`, 'What is the capital?'));
    assert.deepEqual([pieces.text, pieces.stop, pieces.usage.inputTokens], [TEXT, 'end_turn', PROMPT_TOKENS], family);
    assert.ok(pieces.pieces > 1, family);
    const called = await client.send(new ConverseCommand(asked(`${family}/big`, 'How is the weather?', { toolConfig: WEATHER })));
    const use = called.output.message.content.find((block) => block.toolUse).toolUse;
    assert.deepEqual([called.stopReason, use.name, use.input], ['tool_use', 'weather', { city: 'Bern' }], family);
    assert.deepEqual(JSON.parse((await streamed(asked(`${family}/big`, 'How is the weather?', { toolConfig: WEATHER }))).call), { city: 'Bern' }, family);
  }
});

test('errors are those of the SDK', async () => {
  await assert.rejects(client.send(new ConverseCommand(asked('no-such-model', 'Hello'))), ResourceNotFoundException);
  await assert.rejects(client.send(new ConverseCommand(asked('openai/big', 'FAIL 429'))), ThrottlingException);
});
