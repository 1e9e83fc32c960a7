import ArgumentParser
import VecDB

#if Encryption
  import VecDBEncryption
#endif

/// How a verb is told the key of an encrypted repository.
struct KeyOptions: ParsableArguments {
  @Option(
    help: """
      The key file of an encrypted repository, made by vecdb key generate (or VECDB_KEY_FILE).
      """,
    completion: .file())
  var keyFile: String?
  @Option(
    help: """
      A file whose first line is the passphrase of an encrypted repository (or \
      VECDB_PASSPHRASE_FILE).
      """,
    completion: .file())
  var passphraseFile: String?

  func validate() throws {
    guard keyFile == nil || passphraseFile == nil else {
      throw ValidationError("Give one of --key-file and --passphrase-file.")
    }
  }

  /// Nil if none was given.
  func key() throws -> (any RepositoryKey)? {
    if keyFile != nil || passphraseFile != nil {
      return try KeyOptions.key(file: keyFile, passphraseFile: passphraseFile)
    }
    let file = EnvironmentOption.keyFile.value
    let passphrase = EnvironmentOption.passphraseFile.value
    guard file == nil || passphrase == nil else {
      throw UsageError(
        message: "VECDB_KEY_FILE and VECDB_PASSPHRASE_FILE exclude each other",
        remedy: "Set one of them, or give an option.")
    }
    return try KeyOptions.key(file: file, passphraseFile: passphrase)
  }

  static func key(file: String?, passphraseFile: String?) throws -> (any RepositoryKey)? {
    guard file != nil || passphraseFile != nil else { return nil }
    #if Encryption
      if let file { return try KeyFile(path: file) }
      if let passphraseFile {
        return try Passphrase(
          text: SecretFile.firstLine(
            of: passphraseFile, "passphrase file",
            remedy: "Write the passphrase into a file that only you can read."))
      }
      return nil
    #else
      throw UsageError(
        message: "this vecdb was built without encryption",
        remedy: "Build it with: swift build -c release --traits Encryption")
    #endif
  }
}
