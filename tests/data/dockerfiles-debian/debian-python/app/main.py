from words import FIRST


def main() -> None:
    print(f"{FIRST} from python")


if __name__ == "__main__":
    main()
