import tseslint from 'typescript-eslint';

/** Rules that catch what types do not: floating promises, non-exhaustive switches, the clock and chance in core, functions that grew. */
export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'test/planted/**', 'eslint.config.js'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: ['./src/*/tsconfig.json', './test/tsconfig.json'], tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/return-await': ['error', 'in-try-catch'],
      '@typescript-eslint/no-confusing-void-expression': 'off', // "return send(...)" ends a branch in one line
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_', ignoreRestSiblings: true }],
      '@typescript-eslint/restrict-template-expressions': 'error',
      '@typescript-eslint/no-meaningless-void-operator': 'off',
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
      'max-len': ['error', { code: 120 }],
      'max-lines': ['error', { max: 400 }],
      'max-lines-per-function': ['error', { max: 60, skipComments: true }],
      'max-params': ['error', 4],
      'max-depth': ['error', 3],
      // A switch over kinds is one decision, however many kinds there are (docs/decisions/0024-house.md).
      complexity: ['error', { max: 10, variant: 'modified' }],
      'no-restricted-syntax': [
        'error',
        {
          selector:
            'NewExpression > ObjectExpression:has(> Property[value.type=/Function/] ~ Property[value.type=/Function/] ~ Property[value.type=/Function/])',
          message: 'a stage takes data, one wake and implemented ports, not a bag of closures',
        },
      ],
      eqeqeq: 'error',
      'no-eval': 'error',
      'no-implied-eval': 'off',
    },
  },
  {
    files: ['src/core/**/*.ts'],
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      'no-restricted-globals': ['error', { name: 'Date', message: 'time is an argument in core' }, { name: 'performance', message: 'time is an argument in core' }],
      'no-restricted-properties': ['error', { object: 'Math', property: 'random', message: 'chance is an argument in core' }],
      'no-restricted-imports': ['error', { patterns: [{ regex: '^(?!\\./)', message: 'core imports only core' }] }],
    },
  },
  {
    files: ['src/core/*/**/*.ts'],
    rules: { 'no-restricted-imports': ['error', { patterns: [{ regex: '^(?!\\.\\.?/)|^\\.\\./\\.\\./', message: 'core imports only core' }] }] },
  },
  {
    files: ['test/**/*.ts', 'scripts/**/*.ts'],
    rules: { '@typescript-eslint/no-unused-expressions': 'off', '@typescript-eslint/no-non-null-assertion': 'off', 'max-lines-per-function': 'off', 'max-depth': 'off', '@typescript-eslint/no-misused-promises': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: { 'max-lines-per-function': 'off', complexity: 'off', 'no-restricted-syntax': 'off' },
  },
);
