// Each service of inlay serve, called once with @grpc/grpc-js. usage: node serve_test.js HOST:PORT PROTO_FOLDER
'use strict';
const assert = require('assert');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [url, folder] = process.argv.slice(2);

function service(file, name) {
  const options = { keepCase: true, longs: Number, enums: String, defaults: true, bytes: Buffer };
  let found = grpc.loadPackageDefinition(loader.loadSync(path.join(folder, file), options));
  for (const part of name.split('.')) found = found[part];
  const size = 200 << 20;
  return new found(url, grpc.credentials.createInsecure(),
    { 'grpc.max_receive_message_length': size, 'grpc.max_send_message_length': size });
}

const unary = (client, method, request) => new Promise((resolve, reject) => {
  client[method](request, { deadline: Date.now() + 60000 }, (error, answer) => error ? reject(error) : resolve(answer));
});

function features(n) {
  const values = new Float32Array(n * 32 * 16 * 16);
  for (let i = 0; i < values.length; i++) values[i] = Math.sin(i);
  return Buffer.from(values.buffer);
}

async function health() {
  const answer = await unary(service('health.proto', 'grpc.health.v1.Health'), 'Check', {});
  assert.strictEqual(answer.status, 'SERVING');
}

async function kserve() {
  const client = service('kserve.proto', 'inference.GRPCInferenceService');
  const answer = await unary(client, 'ModelInfer', {
    model_name: 'compiled',
    inputs: [{ name: 'frame_index', datatype: 'INT32', shape: [2] }, { name: 'audio', datatype: 'FP32', shape: [2, 32, 16, 16] }],
    raw_input_contents: [Buffer.from(new Int32Array([3, 4]).buffer), features(2)],
  });
  assert.strictEqual(answer.raw_output_contents[0].length, 2 * 320 * 320 * 3);
}

async function composite(file, name) {
  const answer = await unary(service(file, name), 'InferBatchComposite',
    { model_id: 'compiled', audio_features: features(2), batch_size: 2, start_frame_idx: 0 });
  assert(answer.success, answer.error);
  assert.strictEqual(answer.composited_frames.length, 2);
  for (const frame of answer.composited_frames) assert.strictEqual(frame.readUInt16BE(0), 0xffd8);
}

async function infer() {
  const answer = await unary(service('inference_origin.proto', 'inference.InferenceService'), 'InferBatch',
    { model_id: 'compiled', audio_features: features(1), batch_size: 1 });
  assert(answer.success, answer.error);
  assert.strictEqual(answer.outputs[0].data.length, 3 * 320 * 320 * 4);
}

function render() {
  const stream = service('lipsync.proto', 'inlay.v1.Lipsync').Render({ deadline: Date.now() + 60000 });
  const samples = new Int16Array(16000);
  for (let i = 0; i < samples.length; i++) samples[i] = 8000 * Math.sin(i * 0.07);
  stream.write({ options: { avatar: 'compiled', sample_rate: 16000 } });
  stream.write({ audio: Buffer.from(samples.buffer) });
  stream.end();
  return new Promise((resolve, reject) => {
    let frames = 0;
    stream.on('data', frame => {
      assert.strictEqual(frame.index, frames++);
      assert.strictEqual(frame.data.readUInt16BE(0), 0xffd8);
    });
    stream.on('error', reject);
    stream.on('end', () => { assert(frames >= 20, `${frames} frames`); resolve(); });
  });
}

function reflection(file, name) {
  const stream = service(file, name).ServerReflectionInfo();
  return new Promise((resolve, reject) => {
    stream.on('data', answer => {
      const names = answer.list_services_response.service.map(s => s.name);
      assert(names.includes('inlay.v1.Lipsync'), names.join(' '));
      stream.end();
      resolve();
    });
    stream.on('error', reject);
    stream.write({ list_services: '*' });
  });
}

async function main() {
  await health();
  await kserve();
  await composite('compositing.proto', 'compositing.CompositingService');
  await composite('monolithic.proto', 'monolithic.MonolithicService');
  await infer();
  await render();
  await reflection('reflection.proto', 'grpc.reflection.v1.ServerReflection');
  await reflection('reflection_v1alpha.proto', 'grpc.reflection.v1alpha.ServerReflection');
}

main().then(() => process.exit(0), error => { console.error(error); process.exit(1); });
