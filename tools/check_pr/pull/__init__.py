"""Where a pull request comes from: two trees and their difference, read without running anything of them."""
