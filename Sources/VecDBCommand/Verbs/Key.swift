import ArgumentParser
import VecDB

#if Encryption
  import VecDBEncryption
#endif

struct Key: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make keys of encrypted repositories, and change them.",
    subcommands: [Generate.self, Change.self])

  struct Generate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a key file.",
      discussion: """
        Keep a copy of the key elsewhere: without the key, nobody can read the repository.

        EXAMPLE
          vecdb key generate photos.key
          vecdb backup photos.vecdb /backup/photos --key-file photos.key
        """)

    @Argument(help: "The file to make; it must not exist.", completion: .file())
    var file: String
    @OptionGroup var output: OutputOptions

    private struct Made: Encodable {
      var keyFile: String
    }

    func run() async throws {
      #if Encryption
        try KeyFile.generate(at: file)
        guard !output.json else { return Output.json(Made(keyFile: file)) }
        Output.line("made \(file), readable by you alone; keep a copy elsewhere")
      #else
        _ = try KeyOptions.key(file: file, passphraseFile: nil)
      #endif
    }
  }

  struct Change: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Change the key of an encrypted repository, without rewriting any block.",
      discussion: """
        EXAMPLE
          vecdb key change /backup/photos --key-file photos.key --new-key-file photos-2.key
        """)

    @Argument(help: "The repository: a directory, or s3://bucket/prefix.", completion: .directory)
    var repository: String
    @OptionGroup var key: KeyOptions
    @Option(help: "The key file that opens the repository from now on.", completion: .file())
    var newKeyFile: String?
    @Option(help: "A file whose first line is the passphrase from now on.", completion: .file())
    var newPassphraseFile: String?
    @OptionGroup var output: OutputOptions

    func validate() throws {
      guard (newKeyFile == nil) != (newPassphraseFile == nil) else {
        throw ValidationError("Give one of --new-key-file and --new-passphrase-file.")
      }
    }

    private struct Changed: Encodable {
      var repository: String
    }

    func run() async throws {
      guard let old = try key.key() else {
        throw UsageError(
          message: "the present key is missing", remedy: "Give --key-file or --passphrase-file.")
      }
      guard
        let new = try KeyOptions.key(file: newKeyFile, passphraseFile: newPassphraseFile)
      else { return }
      try Database.changeKey(of: repository, from: old, to: new)
      guard !output.json else { return Output.json(Changed(repository: repository)) }
      Output.line("\(repository) is opened by the new key from now on")
    }
  }
}
