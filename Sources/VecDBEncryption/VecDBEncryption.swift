// Without the trait `Encryption` this module is empty; see `KeyFile` and `Passphrase` for what it is
// with it.
import VecDB
