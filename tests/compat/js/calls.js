// Every operation and every credential provider once, against the service that the scenario names.
// A line of JSON for each: what was called, and "ok" with the ARN or key id that came back, or the error as the SDK
// raises it.
import { readFileSync } from 'node:fs';
import * as sts from '@aws-sdk/client-sts';
import { fromProcess, fromTemporaryCredentials, fromTokenFile } from '@aws-sdk/credential-providers';

const scenario = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { region, url } = scenario;
const clientConfig = { region, endpoint: url, maxAttempts: 1 };
const keys = ({ AccessKeyId, SecretAccessKey, SessionToken }) => ({
  accessKeyId: AccessKeyId,
  secretAccessKey: SecretAccessKey,
  sessionToken: SessionToken,
});
const client = (credentials, more = {}) => new sts.STSClient({ ...clientConfig, credentials, ...more });
const identity = async (credentials) => (await client(credentials).send(new sts.GetCallerIdentityCommand({}))).Arn;

async function report(operation, call) {
  const line = { operation };
  try {
    line.result = await call();
    line.outcome = 'ok';
  } catch (error) {
    line.outcome = error.name;
    line.class = error.constructor.name;
    line.message = error.message;
  }
  console.log(JSON.stringify(line));
}

for (const [operation, input] of Object.entries(scenario.calls)) {
  await report(operation, async () => {
    const answer = await client(keys(scenario.caller)).send(new sts[`${operation}Command`](input));
    return answer.Arn ?? answer.Account ?? answer.WebIdentityToken ?? (await identity(keys(answer.Credentials)));
  });
}

const { role, chained, web_role: webRole, token_file: webIdentityTokenFile, profile } = scenario.providers;
const first = fromTemporaryCredentials({
  masterCredentials: keys(scenario.caller),
  params: { RoleArn: role, RoleSessionName: 'first' },
  clientConfig,
});
const second = fromTemporaryCredentials({
  masterCredentials: first,
  params: { RoleArn: chained, RoleSessionName: 'second' },
  clientConfig,
});
await report('credentials of a role', () => identity(first));
await report('credentials of a chained role', () => identity(second));
await report('credentials of a web identity token file', () =>
  identity(fromTokenFile({ roleArn: webRole, roleSessionName: 'web', webIdentityTokenFile, clientConfig })),
);
await report('credentials of a process', () => identity(fromProcess({ profile })));
await report('retry after Throttling', async () => {
  const busy = client(keys(scenario.caller), { endpoint: scenario.busy_url, maxAttempts: 6 });
  const answers = await Promise.all([1, 2, 3].map(() => busy.send(new sts.GetCallerIdentityCommand({}))));
  return Math.max(...answers.map((answer) => answer.$metadata.attempts));
});
