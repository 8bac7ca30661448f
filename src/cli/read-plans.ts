import { BY_HAND, type Installation } from '../config/installation.ts';
import { loadDocuments, type Documents } from '../config/load-documents.ts';
import { ConfigError, type ConfigProblem } from '../config/config-problem.ts';
import { resolve, withOAuthClient, type ClientPlan } from '../config/plan.ts';
import { tokenFileProblem, type TokenBounds } from '../config/token-file-problem.ts';
import { readCredentials, readSecret } from '../upstream/credentials.ts';

/** Rules by which the documents are read. */
export interface ReadingRules {
  readonly installation: Installation;
  /** File with the password of the store. */
  readonly passwordFile: string | undefined;
}

/** Loads, checks and resolves; checks credentials too, so that a wrong mount is one clear sentence at start. */
export async function readPlans(
  files: readonly string[],
  before: readonly ConfigProblem[],
  { installation, passwordFile }: ReadingRules = { installation: BY_HAND, passwordFile: undefined },
): Promise<{ readonly plans: readonly ClientPlan[]; readonly warnings: readonly string[] }> {
  let problems = [...before];
  try {
    const documents = loadDocuments(files, installation);
    const never = neverRead(documents, passwordFile);
    const bounds = { below: installation.tokensDirectory, never };
    const plans: ClientPlan[] = [];
    for (const plan of resolve(documents)) {
      const read = await readCredentials(plan);
      plans.push('problems' in read ? plan : withOAuthClient(plan, read.credentials.clientId));
      problems.push(...(await tokenFileProblems(plan, bounds)));
      const twin = plans.find((one) => one !== plans.at(-1) && one.lease === plans.at(-1)?.lease);
      if (twin !== undefined)
        problems.push({
          code: 'HF_CONFIG_RELATION',
          field: `StreamClient ${plan.name}`,
          rule: `has the same OAuth client as StreamClient ${twin.name}`,
          remedy: 'let the streams of one OAuth client refer to one StreamClient',
        });
      if ('problems' in read)
        problems.push(
          ...read.problems.map(({ file, rule }) => ({
            code: 'HF_CONFIG_SECRET',
            field: file,
            rule,
            remedy: 'put the credential there: one line, UTF-8, nothing else',
          })),
        );
    }
    if (problems.length === 0) return { plans, warnings: documents.warnings };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems = [...problems, ...error.problems];
  }
  throw new ConfigError(problems);
}

/** Returns the credential files of this process, which no consumer's token may be. */
function neverRead({ clients }: Documents, passwordFile: string | undefined): readonly string[] {
  const directories = clients.flatMap(({ spec }) => spec.credentials.directory ?? []);
  return passwordFile === undefined ? directories : [...directories, passwordFile];
}

/** Checks the consumers' token files: they are secret files, too. */
async function tokenFileProblems(plan: ClientPlan, bounds: TokenBounds): Promise<readonly ConfigProblem[]> {
  const files = plan.streams.flatMap(({ delivery }) => delivery.push?.tokenFile ?? []);
  const remedy =
    bounds.below === undefined
      ? "put the consumer's token there: one line, UTF-8, nothing else, in a directory of its own"
      : 'put the token into the Secret of tokenSecretRef; a pod that is older than the reference needs kubectl ' +
        'rollout restart';
  const read = await Promise.all(
    files.map(async (file) => {
      const rule = tokenFileProblem(file, bounds);
      return { file, token: rule === undefined ? await readSecret(file) : { rule } };
    }),
  );
  return read.flatMap(({ file, token }) =>
    'rule' in token ? [{ code: 'HF_CONFIG_SECRET', field: file, rule: token.rule, remedy }] : [],
  );
}
